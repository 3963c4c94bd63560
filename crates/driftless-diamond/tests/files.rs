//! Files that are damaged, hostile, or of another model: refused in one line that names the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use driftless_diamond::Agent;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

fn fixture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.pt");
    fs::read(path).unwrap()
}

/// The error of a file with these bytes.
fn error(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("agent.pt");
    fs::write(&path, bytes).unwrap();
    let message = match Agent::read(&path) {
        Ok(_) => panic!("the file was read"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("agent.pt: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// The fixture with another pickle in it.
fn with_pickle(change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    with_entry("/data.pkl", change)
}

/// The fixture with another content of the entry whose name ends like this.
fn with_entry(end: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let bytes = fixture();
    let mut from = ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for i in 0..from.len() {
        let mut entry = from.by_index(i).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        if name.ends_with(end) {
            data = change(data);
        }
        to.start_file(name, options).unwrap();
        to.write_all(&data).unwrap();
    }
    to.finish().unwrap().into_inner()
}

fn replaced(data: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut data = data.to_vec();
    let mut found = false;
    for at in 0..data.len() - from.len() {
        if data[at..].starts_with(from.as_bytes()) {
            data[at..at + to.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "{from}");
    data
}

#[test]
fn truncated_files_are_named() {
    let bytes = fixture();
    for len in [0, 4, 100, bytes.len() / 2, bytes.len() - 30] {
        let message = error(&bytes[..len]);
        assert!(
            message.contains("cannot be read as PyTorch weights"),
            "{message}"
        );
    }
}

#[test]
fn calls_are_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("executed");
    let command = format!("touch {}", proof.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85R.");
    let message = error(&with_pickle(|_| pickle.clone()));
    assert!(message.contains("`posix system`"), "{message}");
    assert!(!proof.exists());
}

#[test]
fn missing_tensors_are_named() {
    for (from, to) in [
        (
            "denoiser.inner_model.conv_out.weight",
            "denoiser.inner_model.conv_oux.weight",
        ),
        ("rew_end_model.head.2.weight", "rew_end_model.head.3.weight"),
        (
            "actor_critic.actor_linear.bias",
            "actor_critic.actor_linear.bios",
        ),
    ] {
        let message = error(&with_pickle(|data| replaced(&data, from, to)));
        assert!(
            message.contains(&format!("`{from}` is missing")),
            "{message}"
        );
    }
}

/// Where `part` begins.
fn find(data: &[u8], part: &[u8]) -> usize {
    let mut windows = data.windows(part.len());
    windows.position(|window| window == part).unwrap()
}

#[test]
fn foreign_tensors_are_named() {
    let extra = |mut data: Vec<u8>| {
        // `t q N R q M`: a call that makes a tensor, remembered as M. Under another name it is put before the last
        // bias, whose own name begins with X and its length.
        let made = |part: &[u8]| part.starts_with(b"tq") && part[3..].starts_with(b"Rq");
        let tensor = data.windows(6).find(|part| made(part)).unwrap()[5];
        let name = b"optimizer.step";
        let len = (name.len() as u32).to_le_bytes();
        let pair = [b"X", &len[..], name, b"h", &[tensor]].concat();
        let at = find(&data, b"actor_critic.critic_linear.bias") - 5;
        data.splice(at..at, pair);
        data
    };
    let message = error(&with_pickle(extra));
    assert!(message.contains("also holds `optimizer.step`"), "{message}");
}

#[test]
fn other_widths_are_named() {
    let first = "denoiser.inner_model.unet.u_blocks.0.resblocks.0.conv1.weight";
    let second = "denoiser.inner_model.unet.u_blocks.0.resblocks.0.conv2.weight";
    let swap = |data: Vec<u8>| {
        let data = replaced(&data, first, &first.replace("conv1", "conv3"));
        let data = replaced(&data, second, first);
        replaced(&data, &first.replace("conv1", "conv3"), second)
    };
    let message = error(&with_pickle(swap));
    assert!(
        message.contains(&format!("`{first}` is [32, 32, 3, 3], expected 64 inputs")),
        "{message}"
    );
}

#[test]
fn two_stage_model_is_named() {
    let upsampler = |data: Vec<u8>| {
        replaced(
            &data,
            "actor_critic.critic_linear.bias",
            "upsampler.inner_model.conv.bias",
        )
    };
    let message = error(&with_pickle(upsampler));
    assert!(message.contains("CS:GO"), "{message}");
}

#[test]
fn other_weights_are_no_agent() {
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/lpips/heads.pth");
    let message = error(&fs::read(other).unwrap());
    assert!(
        message.contains("expected the weights of a DIAMOND Atari agent"),
        "{message}"
    );
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let nan = |mut data: Vec<u8>| {
        data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        data
    };
    let message = error(&with_entry("/data/0", nan));
    assert!(
        message.contains("holds a number that is not finite"),
        "{message}"
    );
}
