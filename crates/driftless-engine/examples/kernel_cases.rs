//! Prints inputs and expected outputs of every kernel as JSON, with the complete WGSL, for other
//! compilers of WGSL: `scripts/gpu/browser.py` runs them in a browser.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cases = driftless_engine::kernel_cases()?;
    serde_json::to_writer(std::io::stdout().lock(), &cases)?;
    std::io::stdout().write_all(b"\n")?;
    Ok(())
}
