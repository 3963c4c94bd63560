//! `driftless devices`.

use driftless::Result;
use driftless_eval::bench::devices;
use driftless_eval::bench::devices::Report;

/// How to print.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists what there is to compute on.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let report = Report::now();
    match args.json {
        true => super::print_json(&report),
        false => super::print(&devices::text(&report)),
    }
}
