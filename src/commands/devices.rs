//! `driftless devices`: lists the compute devices, and tests the graphics adapter.

use driftless::workspace::IncludedWorlds;
use driftless::{Error, Result};
use driftless_eval::bench::devices::DeviceReport;
use driftless_eval::bench::{devices, self_test};

/// Arguments of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Run every kernel and FRAMES frames of Pong on the best graphics adapter, compare with the CPU, and
    /// print a report for an issue.
    #[arg(long, value_name = "FRAMES", num_args = 0..=1, default_missing_value = "1")]
    self_test: Option<usize>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists the compute devices, or tests the graphics adapter.
///
/// # Errors
/// Returns an error if the output cannot be written, if there is no adapter to test, or if it computes
/// something else than the CPU.
pub fn run(args: &Args) -> Result<()> {
    let Some(frames) = args.self_test else {
        let report = DeviceReport::now();
        return if args.json {
            super::print_json(&report)
        } else {
            super::print(&devices::format_report(&report))
        };
    };
    let report = self_test::run(&IncludedWorlds::find(None).default_world()?, frames)?;
    if args.json {
        super::print_json(&report)?;
    } else {
        super::print(&self_test::format_report(&report))?;
    }
    if report.passed {
        Ok(())
    } else {
        let what =
            "the graphics adapter computes something else than the CPU: play with --device cpu";
        Err(Error::Argument(what.into()))
    }
}
