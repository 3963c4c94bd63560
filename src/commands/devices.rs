//! `driftless devices`: lists the compute devices.

use driftless::Result;
use driftless_eval::bench::devices;
use driftless_eval::bench::devices::DeviceReport;

/// Arguments of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists the compute devices.
///
/// # Errors
/// Returns an error if the output cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let report = DeviceReport::now();
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&devices::format_report(&report))
    }
}
