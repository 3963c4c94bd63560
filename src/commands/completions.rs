//! `driftless completions` and the hidden `driftless man`: what a shell and `man` know of this program.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use driftless::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

/// Arguments of `completions`.
#[derive(clap::Args)]
pub struct Args {
    /// Shell to write completions for.
    shell: Shell,
}

/// Prints the completions of a shell.
///
/// # Errors
/// Returns an error if the output cannot be written.
pub fn run(args: &Args, mut program: Command) -> Result<()> {
    let mut text = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(args.shell, &mut program, name, &mut text);
    // As it is, tabs included.
    match std::io::stdout().write_all(&text) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", e)),
        _ => Ok(()),
    }
}

/// Arguments of `man`.
#[derive(clap::Args)]
pub struct ManArgs {
    /// Folder to write into: driftless.1, and a page for each command.
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

/// Writes the manual pages.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write_manual(args: &ManArgs, mut program: Command) -> Result<()> {
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io(&args.out, e))?;
    // Gives the commands their full names.
    program.build();
    let name = program.get_name().to_owned();
    write_page(&args.out, &name, &program)?;
    for command in program.get_subcommands() {
        if command.get_name() != "help" && !command.is_hide_set() {
            let name = format!("{name}-{}", command.get_name());
            write_page(&args.out, &name, command)?;
        }
    }
    Ok(())
}

fn write_page(folder: &Path, name: &str, command: &Command) -> Result<()> {
    let path = folder.join(format!("{name}.1"));
    let command = command.clone().name(name.to_owned());
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|e| Error::io(&path, e))?;
    Ok(write_atomic(&path, &page)?)
}
