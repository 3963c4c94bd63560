//! What is downloaded of a repository when no file is named.

use driftless_data::layout::checkpoint::{NEEDED, OPTIONAL};

use crate::{Error, Result};

/// The most files that an error lists.
const MAX_LISTED: usize = 8;

/// The files of models that are published in two: of Oasis, and of Dreamer 4 in PyTorch.
const PAIRS: [[&str; 2]; 2] = [
    ["oasis500m.safetensors", "vit-l-20.safetensors"],
    ["dynamics_ckpt.pt", "tokenizer_ckpt.pt"],
];

/// What a repository holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A world in several files of a folder: one of this program, or one that is published in two.
    World(Vec<String>),
    /// One PyTorch file.
    File(String),
}

/// Chooses among the files of a repository.
///
/// # Errors
/// Returns an error that lists some of them if they are neither a world nor a single PyTorch file.
pub(crate) fn choose(repository: &str, files: &[String]) -> Result<Choice> {
    let has = |name: &&str| files.iter().any(|file| file == name);
    if NEEDED.iter().all(has) {
        let all = NEEDED.into_iter().chain(OPTIONAL).filter(has);
        return Ok(Choice::World(all.map(str::to_owned).collect()));
    }
    if let Some(pair) = PAIRS.iter().find(|pair| pair.iter().all(has)) {
        return Ok(Choice::World(pair.map(str::to_owned).to_vec()));
    }
    let torch: Vec<&String> = files
        .iter()
        .filter(|file| file.ends_with(".pt") || file.ends_with(".pth"))
        .collect();
    if let [file] = torch.as_slice() {
        return Ok(Choice::File((*file).clone()));
    }
    let listed: Vec<&str> = torch
        .iter()
        .take(MAX_LISTED)
        .map(|file| file.as_str())
        .collect();
    let what = match torch.len() {
        0 => "holds neither a world of this program (config.json, …), nor Oasis, nor a PyTorch file (.pt)"
            .to_owned(),
        count if count > MAX_LISTED => format!(
            "holds {count} PyTorch files, expected the name of one, such as {}",
            listed.join(", ")
        ),
        _ => format!(
            "holds several PyTorch files, expected the name of one: {}",
            listed.join(", ")
        ),
    };
    Err(Error::Choice {
        repository: repository.to_owned(),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Result<Choice> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        choose("a/b", &files)
    }

    #[test]
    fn worlds_and_single_files_are_found() {
        let world = [
            "README.md",
            "config.json",
            "contexts.npz",
            "dynamics.safetensors",
            "card.json",
        ];
        let all: Vec<&str> = world
            .into_iter()
            .chain(["tokenizer.safetensors", "x.pt"])
            .collect();
        let Choice::World(files) = of(&all).unwrap() else {
            panic!("a world");
        };
        assert_eq!(files.len(), 5, "{files:?}");
        let single = of(&["README.md", "models/Pong.pt"]).unwrap();
        assert_eq!(single, Choice::File("models/Pong.pt".to_owned()));
    }

    #[test]
    fn both_files_of_a_pair_are_found() {
        for pair in PAIRS {
            let files = ["README.md", "oasis500m.pt", pair[1], pair[0], "vit-l-20.pt"];
            let expected = pair.map(str::to_owned).to_vec();
            assert_eq!(of(&files).unwrap(), Choice::World(expected));
        }
    }

    #[test]
    fn error_lists_what_there_is() {
        let error = of(&["Pong.pt", "Boxing.pt", "a.txt"])
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("expected the name of one: Pong.pt, Boxing.pt"),
            "{error}"
        );
        let error = of(&["a.txt"]).unwrap_err().to_string();
        assert!(error.starts_with("a/b holds neither"), "{error}");
    }
}
