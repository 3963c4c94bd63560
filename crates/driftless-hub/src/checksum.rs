//! Checksums as the servers tell them: SHA-256 of a large file, and what Git calls a small one.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use driftless_data::PathError as _;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::Result;

/// The checksum of a file in the form of `expected`: 64 hexadecimal digits are SHA-256, 40 are Git's SHA-1 of
/// `blob LENGTH\0` and the content. `None` if `expected` is neither, and nothing can be checked.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn like(expected: &str, path: &Path) -> Result<Option<String>> {
    let is_hex = expected.bytes().all(|digit| digit.is_ascii_hexdigit());
    match expected.len() {
        64 if is_hex => Ok(Some(digest(Sha256::new(), path)?)),
        40 if is_hex => {
            let length = path
                .metadata()
                .map_err(|e| driftless_data::Error::io(path, e))?;
            let mut git = Sha1::new();
            git.update(format!("blob {}\0", length.len()));
            Ok(Some(digest(git, path)?))
        }
        _ => Ok(None),
    }
}

fn digest<D: Digest + Write>(mut hash: D, path: &Path) -> Result<String> {
    let error = |e| driftless_data::Error::io(path, e);
    let mut file = BufReader::new(File::open(path).map_err(error)?);
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes).map_err(error)? {
            0 => break,
            count => hash.update(&bytes[..count]),
        }
    }
    let digits = hash.finalize();
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1; `printf abc | git hash-object --stdin`.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let git = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";
        for expected in [sha256, git] {
            assert_eq!(like(expected, &path).unwrap().as_deref(), Some(expected));
        }
        assert_eq!(like("W/\"12\"", &path).unwrap(), None);
    }
}
