//! Saves a run's checkpoint as a named world.

use std::path::{Path, PathBuf};

use driftless_agent::Agent;
use driftless_clip::ClipMaker;
use driftless_data::PathError as _;
use driftless_data::fs::write_json;
use driftless_data::layout::checkpoint::{
    AGENT_CONFIG, AGENT_WEIGHTS, CARD, CLIP_ACTION_WEIGHTS, CLIP_CONFIG, CLIP_WEIGHTS, NEEDED,
};
use driftless_data::staging::StagingFolder;
use driftless_model::checkpoint::{CONFIG, read_config};

use super::background_run::trained_on;
use super::library::{CheckpointCard, is_playable};
use super::paths::{UserPaths, folder_name};
use crate::{Error, Result};

/// Copies a checkpoint to the saved worlds under `name`, completely or not at all.
///
/// # Errors
/// Returns an error if the checkpoint is not playable yet, if `name` is taken or is not usable as a
/// folder name, or if a file cannot be copied.
pub fn save_as(checkpoint: &Path, paths: &UserPaths, name: &str) -> Result<PathBuf> {
    if !is_playable(checkpoint) {
        let what = "is not a complete world yet, expected both networks";
        return Err(Error::invalid(checkpoint, what));
    }
    let target = paths.worlds().join(folder_name(name)?);
    if target.exists() {
        let what = "a world with this name already exists, expected another name";
        return Err(Error::invalid(target, what));
    }
    let mut config = read_config(checkpoint)?;
    name.trim().clone_into(&mut config.name);
    let staging = StagingFolder::new(&target)?;
    let clips = [CLIP_CONFIG, CLIP_WEIGHTS, CLIP_ACTION_WEIGHTS].into_iter();
    let clips = clips.filter(|file| ClipMaker::is_in(checkpoint) && checkpoint.join(file).exists());
    let agent = [AGENT_CONFIG, AGENT_WEIGHTS];
    let agent = agent.into_iter().filter(|_| Agent::is_in(checkpoint));
    for file in NEEDED
        .into_iter()
        .filter(|file| *file != CONFIG)
        .chain(clips)
        .chain(agent)
    {
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

/// The checkpoint's own card, or else one that names the dataset of its run.
fn card(checkpoint: &Path) -> Option<CheckpointCard> {
    let own = CheckpointCard::read(checkpoint);
    if own != CheckpointCard::default() {
        return Some(own);
    }
    let trained_on = checkpoint.parent().and_then(trained_on)?;
    Some(CheckpointCard {
        about: None,
        trained_on: Some(trained_on),
    })
}

#[cfg(test)]
mod tests {
    use driftless_train::RunLayout;

    use driftless_model::checkpoint::{DYNAMICS, STARTING_CLIPS, TOKENIZER};

    use super::*;

    fn pong() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong")
    }

    #[test]
    fn saving_copies_and_renames() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let saved = save_as(&pong(), &paths, " My Pong ").unwrap();
        assert_eq!(saved, paths.worlds().join("My-Pong"));
        assert_eq!(read_config(&saved).unwrap().name, "My Pong");
        let bytes = |folder: &Path| std::fs::read(folder.join(DYNAMICS)).unwrap();
        assert!(bytes(&saved) == bytes(&pong()));
        assert_eq!(paths.list_worlds(), [saved]);
    }

    #[test]
    fn card_names_the_dataset() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let saved = save_as(&pong(), &paths, "a").unwrap();
        assert_eq!(CheckpointCard::read(&saved), CheckpointCard::read(&pong()));

        let run = root.path().join("run");
        let checkpoint = RunLayout::new(&run).checkpoint();
        std::fs::create_dir_all(&checkpoint).unwrap();
        for file in [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS] {
            std::fs::copy(pong().join(file), checkpoint.join(file)).unwrap();
        }
        let unknown = save_as(&checkpoint, &paths, "b").unwrap();
        assert!(!unknown.join(CARD).exists());
        let note = r#"{"name": "x", "data": "some/where/maze", "preset": "quick"}"#;
        std::fs::write(run.join("new_world.json"), note).unwrap();
        let known = save_as(&checkpoint, &paths, "c").unwrap();
        let trained_on = CheckpointCard::read(&known).trained_on;
        assert_eq!(trained_on.as_deref(), Some("the dataset maze"));
    }

    #[test]
    fn taken_name_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let taken = paths.worlds().join("a");
        std::fs::create_dir_all(&taken).unwrap();
        std::fs::write(taken.join("mine"), "1").unwrap();
        let error = save_as(&pong(), &paths, "a").unwrap_err().to_string();
        assert!(error.contains("already exists"), "{error}");
        assert_eq!(std::fs::read_to_string(taken.join("mine")).unwrap(), "1");
        assert_eq!(paths.worlds().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn incomplete_checkpoint_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let half = root.path().join("half");
        std::fs::create_dir(&half).unwrap();
        for file in [CONFIG, TOKENIZER, STARTING_CLIPS] {
            std::fs::copy(pong().join(file), half.join(file)).unwrap();
        }
        assert!(!is_playable(&half) && save_as(&half, &paths, "a").is_err());
        assert!(!paths.worlds().exists());
    }
}
