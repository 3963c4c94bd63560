//! `driftless shard`: cuts a dataset into shards.

use std::path::PathBuf;
use std::sync::Arc;

use driftless::{Error, Result, interrupt};
use driftless_shards::{CutOptions, Location, Stop, cut};

/// Arguments of `shard`.
#[derive(clap::Args)]
pub struct Args {
    /// Dataset folder: dataset.json and episodes (*.npz).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the shards and their manifest (shards.json, or another name that ends in .json) go: a folder, new or empty, or
    /// s3://BUCKET/PREFIX. Credentials and endpoint of a store come from the environment (AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT; docs/several_machines.md).
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    out: PathBuf,
    /// Size of a shard: its frames in MiB without compression, as training holds them. Episodes are not cut.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=2048))]
    shard_mib: u16,
    /// Seed of the order in which episodes are packed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Skip episodes that cannot be read, with a warning for each.
    #[arg(long)]
    skip_bad: bool,
    /// Replace a manifest that is in the store already, and shards of the same names.
    #[arg(long)]
    overwrite: bool,
    /// Print the manifest as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Cuts the dataset and prints how many shards there are.
///
/// # Errors
/// Returns an error if the dataset cannot be read, if the shards cannot be written, or on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    interrupt::watch();
    let out = Location::parse(&args.out)?;
    if args.overwrite && out.folder().is_some() {
        let what = "--overwrite is for stores: a folder must be new or empty";
        return Err(Error::Argument(what.into()));
    }
    let options = CutOptions {
        data: args.data.clone(),
        out,
        shard_bytes: u64::from(args.shard_mib) << 20,
        seed: args.seed,
        skip_bad: args.skip_bad,
        overwrite: args.overwrite,
    };
    let stop: Stop = Arc::new(interrupt::requested);
    let bar = super::bar(0, "frames");
    let manifest = cut(&options, &stop, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let manifest = manifest?;
    if args.json {
        return super::print_json(&manifest);
    }
    let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
    super::print(&format!(
        "{} with {} and {} frames, {:.1} MiB; train on them with: driftless train all --data {} --out DIR",
        match manifest.shards.len() {
            1 => "1 shard".to_owned(),
            count => format!("{count} shards"),
        },
        super::episodes(manifest.episodes as usize),
        manifest.frames,
        bytes as f64 / f64::from(1 << 20),
        super::shell_word(options.out.to_string().as_ref()),
    ))
}
