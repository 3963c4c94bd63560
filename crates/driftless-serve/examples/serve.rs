//! Serves worlds in checkpoint folders on loopback until Enter is pressed.
//!
//! ```sh
//! cargo run --release -p driftless-serve --example serve -- checkpoints/pong checkpoints/maze
//! ```

use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftless_serve::{Server, ServerOptions};

#[expect(clippy::print_stdout, reason = "says where it is")]
fn main() -> Result<(), Box<dyn Error>> {
    let named = |folder: String| {
        let folder = PathBuf::from(folder);
        let name = folder.file_name().unwrap_or_default();
        (name.to_string_lossy().into_owned(), folder)
    };
    let worlds = std::env::args().skip(1).map(named).collect();
    let server = Server::bind(ServerOptions::new(([127, 0, 0, 1], 8037).into(), worlds))?;
    println!("http://{}/ until you press Enter", server.address());
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = Arc::clone(&stop);
    std::thread::spawn(move || {
        // The end of the input stops it, too.
        let _ = std::io::stdin().read(&mut [0]);
        pressed.store(true, Ordering::Relaxed);
    });
    server.run(move || stop.load(Ordering::Relaxed))?;
    Ok(())
}
