//! `driftless serve`: lets others play, in a browser or with another program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use driftless::workspace::UserPaths;
use driftless::{Error, Result, interrupt};
use driftless_data::PathError as _;
use driftless_serve::{Recordings, Server, ServerOptions};

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// World to serve: its name or its checkpoint folder; several times for several [default: pong].
    #[arg(long = "world", value_name = "NAME|DIR")]
    worlds: Vec<PathBuf>,
    /// Address and port to listen on. Others than this machine's own need --token-file.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8037", value_parser = socket_address)]
    listen: SocketAddr,
    /// File with the token that players must know, in one line of at least 16 characters.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate chain and its key, both PEM: serve over TLS (https and wss).
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Most games at a time.
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_players: usize,
    /// Most sampling steps per frame that a player may choose.
    #[arg(long, value_name = "K", default_value_t = 16)]
    max_steps: usize,
    /// Threads that run the games [default: as many as there are cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Folder for a recording of every game, up to 9,000 frames each; `replay` replays them.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

fn socket_address(text: &str) -> std::result::Result<SocketAddr, String> {
    let expected = "expected an IP address and a port, such as 127.0.0.1:8037 or [::1]:8037";
    text.parse().map_err(|_| expected.to_owned())
}

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// Returns an error if an argument is out of range, if a world, the token or the certificate cannot be read, or if
/// the address is in use.
pub fn run(args: &Args) -> Result<()> {
    if args.max_steps == 0 || args.threads == Some(0) {
        let what = "--max-steps and --threads: expected at least 1".to_owned();
        return Err(Error::Argument(what));
    }
    let mut options = ServerOptions::new(args.listen, worlds(&args.worlds)?);
    options.token_file.clone_from(&args.token_file);
    if let Some([certificate, key]) = args.tls.as_deref() {
        options.tls = Some((certificate.clone(), key.clone()));
    }
    options.max_players = args.max_players;
    options.max_steps = args.max_steps;
    options.threads = args.threads;
    options.recordings = args.record.as_deref().map(recordings).transpose()?;
    let names: Vec<_> = options
        .worlds
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let (is_local, has_token) = (args.listen.ip().is_loopback(), args.token_file.is_some());
    let server = Server::bind(options)?;
    if has_token && !is_local && !server.is_secure() {
        tracing::warn!("without --tls, token and frames can be read on their way");
    }
    interrupt::watch();
    let scheme = if server.is_secure() { "https" } else { "http" };
    let address = server.address();
    super::print(&format!(
        "{} at {scheme}://{address}/ (Ctrl-C stops)",
        names.join(", ")
    ))?;
    Ok(server.run(interrupt::requested)?)
}

/// Names and checkpoint folders.
fn worlds(given: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    if given.is_empty() {
        let folder = super::checkpoint_or_default(None)?;
        return Ok(vec![(name(&folder), folder)]);
    }
    let named = |world: &PathBuf| Ok((name(world), super::checkpoint(world)?));
    given.iter().map(named).collect()
}

/// The last part of a path.
fn name(world: &Path) -> String {
    let name = world.file_name().unwrap_or(world.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Where recordings go: into `folder`, which is made if it is not there.
fn recordings(folder: &Path) -> Result<Recordings> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    // Without a data folder, a killed server loses the recordings of games that are played.
    let paths = UserPaths::resolve(None).ok();
    Ok(Recordings {
        folder: folder.to_path_buf(),
        journals: paths.map(|paths| paths.unfinished()),
    })
}
