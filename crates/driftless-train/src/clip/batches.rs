//! Draws batches: clips with a caption, noised.

use std::collections::HashMap;
use std::path::Path;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_clip::actions;
use driftless_clip::config::{SHORTCUT_STEPS, step_index};
use driftless_clip::{ClipConfig, TextBatch};
use driftless_data::PathError as _;
use driftless_data::captions::ClipCaption;
use driftless_flow::objective::{ShortcutTarget, ramp_weight};
use driftless_flow::path::Path as FlowPath;
use driftless_flow::solver::{Grid, shifted_level};

use super::ClipSettings;
use super::texts::{Text, Texts};
use crate::frame_store::{ByteStore, FrameStore};
use crate::{Error, Result};

/// Where a clip may start, and what is said of it.
struct Captioned {
    /// Its first possible first frame among all frames of the store.
    frame: usize,
    /// By how many frames it may start later.
    slack: usize,
    /// Texts by language.
    texts: Vec<Vec<Text>>,
}

/// What the frames of a clip are to its network.
pub(super) enum Content {
    /// Latents of this store, and actions.
    Frames(ByteStore),
    /// Actions alone.
    Actions,
}

/// The clips of a dataset, by length.
pub(super) struct Clips<'a> {
    settings: &'a ClipSettings,
    config: &'a ClipConfig,
    content: Content,
    texts: &'a Texts,
    /// The action that led to each frame of the store.
    actions: Vec<u32>,
    /// As many as there are lengths.
    by_length: Vec<Vec<Captioned>>,
}

/// The batch of a step: N clips of T frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClipBatch {
    /// Frames of a clip, T.
    pub frames: usize,
    /// z_τ, [N, T, numbers]; frames that are given have no noise.
    pub z: Vec<f32>,
    /// The clean clips, the target unless a shortcut is learned, [N, T, numbers].
    pub clean: Vec<f32>,
    /// 1 for a given frame, [N, T].
    pub given: Vec<f32>,
    /// Signal levels, [N].
    pub tau: Vec<f32>,
    /// Weights of the squared errors of latents and of actions, [N].
    pub weights: Vec<[f32; 2]>,
    /// The shortcut that a clip trains; `None` where its target is the clean clip. [N].
    pub shortcuts: Vec<Option<Shortcut>>,
    /// Words of the prompts, [N].
    pub prompts: Vec<Vec<u32>>,
    /// States of a text encoder's tokens for each prompt, [tokens, width]; empty without one.
    pub states: Vec<Vec<f32>>,
}

/// A step of a shortcut network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shortcut {
    /// Steps from noise to data.
    pub steps: usize,
    /// How its target follows from two steps of half the size.
    pub target: ShortcutTarget,
}

impl ClipBatch {
    /// Number of clips, N.
    pub fn len(&self) -> usize {
        self.tau.len()
    }

    /// The embeddings of the step sizes.
    pub fn step_indices(&self) -> Vec<u32> {
        let index = |shortcut: &Option<Shortcut>| shortcut.map_or(0, |s| step_index(s.steps));
        self.shortcuts.iter().map(index).collect()
    }
}

/// The captions of clips that have one of the lengths, or are longer than all of them: what is said of a
/// long recording is taken to hold for every part of it.
///
/// # Errors
/// Returns an error if a length has none.
pub(super) fn read_captions(folder: &Path, lengths: &[usize]) -> Result<Vec<ClipCaption>> {
    let Some(mut captions) = driftless_data::captions::read(folder)? else {
        let what =
            "has no captions: write them with `driftless caption`, or by hand (docs/data.md)";
        return Err(Error::invalid(folder, what));
    };
    let has = |&frames: &usize| captions.iter().any(|c| fits(c, frames, lengths));
    if let Some(missing) = lengths.iter().find(|&frames| !has(frames)) {
        let all: Vec<String> = lengths.iter().map(usize::to_string).collect();
        let what = format!(
            "has no captions of clips of {missing} frames, which `lengths` asks for: write them with `driftless \
             caption --frames {}`",
            all.join(",")
        );
        return Err(Error::invalid(folder, what));
    }
    captions.retain(|caption| lengths.iter().any(|&frames| fits(caption, frames, lengths)));
    Ok(captions)
}

/// Whether a caption says something of clips of so many frames.
fn fits(caption: &ClipCaption, frames: usize, lengths: &[usize]) -> bool {
    caption.frames == frames || lengths.iter().all(|&length| caption.frames > length)
}

impl<'a> Clips<'a> {
    /// The clips of captions that [`read_captions`] returned.
    ///
    /// # Errors
    /// Returns an error if a length has no clips or a file is unknown.
    pub fn new(
        settings: &'a ClipSettings,
        config: &'a ClipConfig,
        store: &FrameStore,
        captions: &[ClipCaption],
        texts: &'a Texts,
        content: Content,
    ) -> Result<Self> {
        let starts = store.episodes.iter().map(|e| (e.name.as_str(), e.start));
        let starts: HashMap<&str, usize> = starts.collect();
        let clips_of = |&frames: &usize| -> Vec<Captioned> {
            let fitting = captions.iter();
            let fitting = fitting.filter(|caption| fits(caption, frames, &config.lengths));
            // A damaged episode may have been skipped.
            let known =
                fitting.filter_map(|caption| Some((caption, starts.get(caption.file.as_str())?)));
            let clips = known.map(|(caption, start)| Captioned {
                frame: start + caption.start,
                slack: caption.frames - frames,
                texts: caption
                    .texts
                    .values()
                    .map(|own| {
                        let own = own.iter().filter_map(|text| texts.get(text));
                        own.cloned().collect()
                    })
                    .collect(),
            });
            clips.collect()
        };
        let by_length: Vec<Vec<Captioned>> = config.lengths.iter().map(clips_of).collect();
        if let Some(empty) = by_length.iter().position(Vec::is_empty) {
            let frames = config.lengths[empty];
            return Err(Error::Argument(format!(
                "no caption is of a clip of {frames} frames, which `lengths` asks for"
            )));
        }
        Ok(Self {
            settings,
            config,
            content,
            texts,
            actions: store
                .episodes
                .iter()
                .flat_map(|episode| episode.actions.iter().map(|action| action.index))
                .collect(),
            by_length,
        })
    }

    /// A batch; also the first frames of its clips among all frames of the store.
    ///
    /// # Errors
    /// Returns an error if the latents cannot be read.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Result<(ClipBatch, Vec<usize>)> {
        let length = rng.random_range(0..self.by_length.len());
        let shortest = self.config.lengths[0];
        let frames = self.config.lengths[length];
        // A step costs about the same for all lengths.
        let count = (self.settings.batch_size * shortest / frames).max(1);
        let mut batch = ClipBatch {
            frames,
            ..ClipBatch::default()
        };
        let mut drawn = Vec::with_capacity(count);
        let clips = &self.by_length[length];
        for _ in 0..count {
            let clip = &clips[rng.random_range(0..clips.len())];
            let first = clip.frame + rng.random_range(0..=clip.slack);
            let clean = self.clean(first, frames)?;
            self.append(&mut batch, clip, clean, rng)?;
            drawn.push(first);
        }
        Ok((batch, drawn))
    }

    /// Consecutive frames with the actions between them, [T, numbers].
    fn clean(&self, first: usize, frames: usize) -> Result<Vec<f32>> {
        let actions = self.actions[first..first + frames].iter();
        let actions = actions
            .enumerate()
            .map(|(i, action)| (i > 0).then_some(*action));
        let latents = match &self.content {
            Content::Frames(latents) => latents,
            Content::Actions => {
                let numbers = |action| actions::numbers(action, self.config.channels);
                return Ok(actions.flat_map(numbers).collect());
            }
        };
        let size = self.config.frame_len() * size_of::<f32>();
        let mut bytes = Vec::with_capacity(frames * size);
        latents.read(first * size..(first + frames) * size, &mut bytes)?;
        let mut clean = Vec::with_capacity(frames * self.config.frame_numbers());
        for (latent, action) in bytes.chunks_exact(size).zip(actions) {
            let (latent, _) = latent.as_chunks();
            clean.extend(latent.iter().map(|bytes| f32::from_ne_bytes(*bytes)));
            clean.extend(actions::numbers(action, self.config.actions));
        }
        Ok(clean)
    }

    /// How many frames at the clip's start are given: none, often the first alone, or any number, from
    /// which the network learns most quickly how one frame follows from others.
    fn draw_given(&self, frames: usize, rng: &mut ChaCha8Rng) -> usize {
        // Of a single frame, nothing would be left to learn.
        if frames < 2 || !rng.random_bool(self.settings.given_fraction) {
            0
        } else if rng.random() {
            1
        } else {
            rng.random_range(1..frames)
        }
    }

    fn append(
        &self,
        batch: &mut ClipBatch,
        clip: &Captioned,
        clean: Vec<f32>,
        rng: &mut ChaCha8Rng,
    ) -> Result<()> {
        let (settings, frames) = (self.settings, batch.frames);
        let texts = &clip.texts[rng.random_range(0..clip.texts.len())];
        let text = &texts[rng.random_range(0..texts.len())];
        let hidden = rng.random_bool(settings.prompt_dropout);
        let (prompt, states) = if hidden {
            (TextBatch::none(), Vec::new())
        } else {
            (text.indices.clone(), self.texts.states(text)?)
        };
        batch.prompts.push(prompt);
        batch.states.push(states);
        let given = self.draw_given(frames, rng);
        let (tau, shortcut) = self.draw_level(frames, rng)?;
        let numbers = self.config.frame_numbers();
        for (i, x) in clean.iter().enumerate() {
            let noise: f32 = StandardNormal.sample(rng);
            let is_clean = i < given * numbers;
            batch.z.push(if is_clean {
                *x
            } else {
                (1.0 - tau) * noise + tau * x
            });
        }
        batch.clean.extend(clean);
        let mask = (0..frames).map(|frame| f32::from(u8::from(frame < given)));
        batch.given.extend(mask);
        batch.tau.push(tau);
        let weights = match self.content {
            Content::Frames(_) => [ramp_weight(tau.into()), settings.action_weight],
            Content::Actions => [1.0; 2],
        };
        batch.weights.push(weights.map(|weight| weight as f32));
        batch.shortcuts.push(shortcut);
        Ok(())
    }

    /// A signal level on the shifted schedule, and the shortcut that is learned there, if one is.
    fn draw_level(&self, frames: usize, rng: &mut ChaCha8Rng) -> Result<(f32, Option<Shortcut>)> {
        let shift = self.config.shift(frames);
        if !rng.random_bool(self.settings.shortcut_fraction) {
            return Ok((shifted_level(rng.random(), shift) as f32, None));
        }
        let steps = SHORTCUT_STEPS[rng.random_range(0..SHORTCUT_STEPS.len())];
        let k = rng.random_range(0..steps);
        let levels = Grid::Shifted { shift }.levels(2 * steps, 0.0, 1.0)?;
        let levels = [0, 1, 2].map(|half| levels[2 * k + half] as f32);
        let target = ShortcutTarget::between(FlowPath::Linear, levels)?;
        Ok((levels[0], Some(Shortcut { steps, target })))
    }
}
