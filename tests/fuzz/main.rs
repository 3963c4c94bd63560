//! Mutated files for every reader: none may panic, hang, or take more than 1 GiB.
//!
//! The mutations know the formats: checksums and lengths are right again afterwards, so that what is behind them
//! is reached. Every input is numbered and depends on the seed and its number only.
//!
//! In the test suite each target runs a few inputs. More, or others:
//!
//! ```sh
//! DRIFTLESS_FUZZ=1000000 DRIFTLESS_FUZZ_SEED=7 cargo nextest run --release --test fuzz --no-capture npz
//! ```
//!
//! With `TMPDIR` on a file system in memory, most targets read 500 inputs a second and more.
//! `DRIFTLESS_FUZZ_SECONDS` ends a target after that time, however many inputs are left;
//! `DRIFTLESS_FUZZ_FROM=NUMBER` goes on with that input.
//!
//! A failure names the target and the input's number; `DRIFTLESS_FUZZ_ONLY=NUMBER` runs that one alone and
//! leaves its files in the folder that it prints.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failure fails the test, and the counts are its result"
)]

mod captures;
mod cells;
mod files;
mod imports;
mod memory;
mod messages;
mod mutate;
mod run;
mod shards;
mod shared;
mod still;
mod targets;
