//! An S3-like store in memory, on loopback, to try shards with:
//! `cargo run -p driftless-shards --features testing --example store -- 600`
//! prints the environment in which `driftless shard --out s3://bucket/PREFIX` and `driftless train --data s3://bucket/PREFIX`
//! find it, runs for so many seconds, and says what was read.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::time::Duration;

use driftless_shards::testing::Server;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).unwrap_or_else(|| "600".into());
    let server = Server::s3()?;
    for (name, value) in server.environment() {
        println!("export {name}={value}");
    }
    std::thread::sleep(Duration::from_secs(seconds.parse()?));
    for (path, reads) in server.reads() {
        println!("{path}: read {reads} times");
    }
    Ok(())
}
