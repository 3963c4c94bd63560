//! A run's checkpoint as a world with a name.

use std::path::{Path, PathBuf};

use super::library::{CARD, Card};
use super::places::{Places, folder_name};
use super::training::Training;
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_json;
use driftless_data::staging::Staging;
use driftless_model::checkpoint::{CONFIG, CONTEXTS, DYNAMICS, TOKENIZER, read_config};

/// Whether a checkpoint holds both networks, and so can be played.
pub fn playable(checkpoint: &Path) -> bool {
    [CONFIG, TOKENIZER, DYNAMICS, CONTEXTS]
        .iter()
        .all(|file| checkpoint.join(file).is_file())
}

/// Copies a checkpoint to the saved worlds under `name`; it is there whole or not at all.
///
/// # Errors
/// Not playable yet, the name is taken or names no folder, or a file cannot be copied.
pub fn save_as(checkpoint: &Path, places: &Places, name: &str) -> Result<PathBuf> {
    if !playable(checkpoint) {
        let what = "holds no whole world yet, expected both networks";
        return Err(Error::invalid(checkpoint, what));
    }
    let target = places.worlds().join(folder_name(name)?);
    if target.exists() {
        let what = "a world of this name is there already, expected another name";
        return Err(Error::invalid(target, what));
    }
    let mut config = read_config(checkpoint)?;
    name.trim().clone_into(&mut config.name);
    let staging = Staging::new(&target)?;
    for file in [TOKENIZER, DYNAMICS, CONTEXTS] {
        let from = checkpoint.join(file);
        std::fs::copy(&from, staging.path().join(file)).map_err(|e| Error::io(&from, e))?;
    }
    write_json(&staging.path().join(CONFIG), &config)?;
    if let Some(card) = card(checkpoint) {
        write_json(&staging.path().join(CARD), &card)?;
    }
    staging.finish()?;
    Ok(target)
}

/// What is said of a checkpoint: by its own card, else by the run that it belongs to.
fn card(checkpoint: &Path) -> Option<Card> {
    let own = Card::of(checkpoint);
    if own != Card::default() {
        return Some(own);
    }
    let trained_on = checkpoint.parent().and_then(Training::trained_on)?;
    Some(Card {
        about: None,
        trained_on: Some(trained_on),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pong() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
    }

    #[test]
    fn a_saved_world_is_the_checkpoint_under_its_new_name() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        let saved = save_as(&pong(), &places, " My Pong ").unwrap();
        assert_eq!(saved, places.worlds().join("My-Pong"));
        assert_eq!(read_config(&saved).unwrap().name, "My Pong");
        let bytes = |folder: &Path| std::fs::read(folder.join(DYNAMICS)).unwrap();
        assert!(bytes(&saved) == bytes(&pong()));
        assert_eq!(places.saved_worlds(), [saved]);
    }

    #[test]
    fn a_saved_world_says_what_it_was_trained_on() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        let saved = save_as(&pong(), &places, "a").unwrap();
        assert_eq!(Card::of(&saved), Card::of(&pong()));

        let run = root.path().join("run");
        let checkpoint = run.join("checkpoint");
        std::fs::create_dir_all(&checkpoint).unwrap();
        for file in [CONFIG, TOKENIZER, DYNAMICS, CONTEXTS] {
            std::fs::copy(pong().join(file), checkpoint.join(file)).unwrap();
        }
        let unknown = save_as(&checkpoint, &places, "b").unwrap();
        assert!(!unknown.join(CARD).exists());
        let note = r#"{"name": "x", "data": "some/where/maze", "preset": "quick"}"#;
        std::fs::write(run.join("new_world.json"), note).unwrap();
        let known = save_as(&checkpoint, &places, "c").unwrap();
        let trained_on = Card::of(&known).trained_on;
        assert_eq!(trained_on.as_deref(), Some("the dataset maze"));
    }

    #[test]
    fn a_name_that_is_taken_is_refused_and_the_world_of_that_name_stays() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        let taken = places.worlds().join("a");
        std::fs::create_dir_all(&taken).unwrap();
        std::fs::write(taken.join("mine"), "1").unwrap();
        let error = save_as(&pong(), &places, "a").unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
        assert_eq!(std::fs::read_to_string(taken.join("mine")).unwrap(), "1");
        assert_eq!(places.worlds().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn half_a_checkpoint_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        let half = root.path().join("half");
        std::fs::create_dir(&half).unwrap();
        for file in [CONFIG, TOKENIZER, CONTEXTS] {
            std::fs::copy(pong().join(file), half.join(file)).unwrap();
        }
        assert!(!playable(&half) && save_as(&half, &places, "a").is_err());
        assert!(!places.worlds().exists());
    }
}
