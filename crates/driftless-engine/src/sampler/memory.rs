//! The long-term memory of a sampler: frames that left the context, by the camera's pose.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use half::f16;

use driftless_data::{Action, Motion, Pose};
use driftless_model::config::{MemoryConfig, WorldConfig};
use driftless_model::memory::{Place, TokenInputs, memory_features, recall};

/// A frame that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptFrame {
    /// Where it was seen from.
    pub pose: Pose,
    /// Its number, in frames since the reset.
    pub frame: u64,
    /// Whether it was predicted, rather than given.
    pub predicted: bool,
    /// The clean latent, `[cells, channels]`.
    latent: Vec<f16>,
}

impl KeptFrame {
    /// The clean latent, `[cells, channels]`.
    pub fn latent(&self) -> impl Iterator<Item = f32> {
        self.latent.iter().map(|x| x.to_f32())
    }
}

/// Frames that left the context, one at each [`Place`], and the pose of the camera. Poses are dead
/// reckoning: sums of the motions that the network reads from its own frames, from zero at the first
/// frame of the starting clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    config: MemoryConfig,
    token_inputs: TokenInputs,
    context: usize,
    pose: Pose,
    /// The last motion that each discrete action led to, wherever the axes were.
    motions: BTreeMap<u32, Motion>,
    /// Frames that are still in the context, oldest first.
    recent: VecDeque<Arc<KeptFrame>>,
    kept: BTreeMap<Place, Arc<KeptFrame>>,
    recalled: Vec<Arc<KeptFrame>>,
}

impl Memory {
    /// An empty memory; `None` if the world has none.
    pub(super) fn new(world: &WorldConfig) -> Option<Self> {
        let config = world.dynamics.memory.clone()?;
        Some(Self {
            token_inputs: TokenInputs::new(world, &config),
            config,
            context: world.dynamics.context,
            pose: Pose::default(),
            motions: BTreeMap::new(),
            recent: VecDeque::new(),
            kept: BTreeMap::new(),
            recalled: Vec::new(),
        })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pose = Pose::default();
        self.motions.clear();
        self.recent.clear();
        self.kept.clear();
        self.recalled.clear();
    }

    /// The camera's pose in the last frame.
    pub fn pose(&self) -> Pose {
        self.pose
    }

    /// Replaces the poses of all frames, where they are known: of frame number `n` by `pose(n)`. The
    /// camera's pose becomes that of the last frame.
    pub fn correct_poses(&mut self, pose: impl Fn(u64) -> Option<Pose>) {
        let corrected = |frame: &Arc<KeptFrame>| match pose(frame.frame) {
            Some(pose) if pose != frame.pose => Arc::new(KeptFrame {
                pose,
                ..frame.as_ref().clone()
            }),
            _ => Arc::clone(frame),
        };
        for frame in &mut self.recent {
            *frame = corrected(frame);
        }
        if let Some(last) = self.recent.back() {
            self.pose = last.pose;
        }
        let mut kept: Vec<_> = self.kept.values().map(corrected).collect();
        kept.sort_by_key(|frame| frame.frame);
        self.kept.clear();
        for frame in kept {
            self.keep(frame);
        }
    }

    /// Approximate size of a copy, which shares its frames with the original.
    pub fn bytes_of_copy(&self) -> usize {
        let entry = size_of::<(Place, Arc<KeptFrame>)>();
        2 * entry * (self.kept.len() + self.recent.len())
    }

    /// The frames that are kept, in no particular order.
    pub fn kept(&self) -> impl ExactSizeIterator<Item = &KeptFrame> {
        self.kept.values().map(AsRef::as_ref)
    }

    /// The frames that were recalled for the last frame, best first.
    pub fn recalled(&self) -> impl ExactSizeIterator<Item = &KeptFrame> {
        self.recalled.iter().map(AsRef::as_ref)
    }

    /// Remembers the frames of another memory instead of its own; the camera's pose stays. For
    /// experiments.
    pub fn take_frames_of(&mut self, other: &Self) {
        self.kept.clone_from(&other.kept);
        self.recent.clone_from(&other.recent);
    }

    /// Replaces what the last frame is remembered as by another clean latent, such as that of the true
    /// frame. For experiments.
    pub fn set_last_latent(&mut self, latent: &[f32]) {
        if let Some(last) = self.recent.back_mut() {
            *last = Arc::new(KeptFrame {
                latent: latent.iter().copied().map(f16::from_f32).collect(),
                ..last.as_ref().clone()
            });
        }
    }

    /// Adds a finished frame; `action` and `motion` led to it.
    pub(super) fn remember(
        &mut self,
        latent: &[f32],
        frame: u64,
        (action, motion): (Action, Option<Motion>),
        predicted: bool,
    ) {
        // Nothing leads to the first frame.
        let pose = match motion {
            Some(motion) if frame > 0 => self.pose.after(motion),
            _ => self.pose,
        };
        if pose.is_finite() {
            self.pose = pose;
            if let Some(motion) = motion {
                self.motions.insert(action.index, motion);
            }
        }
        self.recent.push_back(Arc::new(KeptFrame {
            pose: self.pose,
            frame,
            predicted,
            latent: latent.iter().copied().map(f16::from_f32).collect(),
        }));
        while self.recent.len() >= self.context {
            if let Some(oldest) = self.recent.pop_front() {
                self.keep(oldest);
            }
        }
    }

    /// Keeps a frame that left the context. The first at a place stays, unless it was predicted and the
    /// other is given.
    fn keep(&mut self, frame: Arc<KeptFrame>) {
        let place = Place::of(frame.pose, &self.config);
        match self.kept.get(&place) {
            Some(held) if !held.predicted || frame.predicted => return,
            None if self.kept.len() >= self.config.capacity => self.forget_one(),
            _ => {}
        }
        self.kept.insert(place, frame);
    }

    /// Forgets the oldest predicted frame or, if there is none, the oldest.
    fn forget_one(&mut self) {
        let oldest = self
            .kept
            .iter()
            .min_by_key(|(_, frame)| (!frame.predicted, frame.frame))
            .map(|(place, _)| *place);
        if let Some(place) = oldest {
            self.kept.remove(&place);
        }
    }

    /// Chooses the frames to recall for frame `frame`, to which `action` leads, and adds the inputs of
    /// their tokens. The camera is expected to move as it did when the discrete action was last taken.
    pub(super) fn recall(&mut self, frame: u64, action: Action, tokens: &mut Vec<f32>) {
        let motion = self.motions.get(&action.index).copied().unwrap_or_default();
        let expected = self.pose.after(motion);
        let poses = self.kept.values().map(|frame| frame.pose);
        let chosen = recall(expected, poses, &self.config);
        self.recalled.clear();
        let frames = chosen.into_iter().filter_map(|i| self.kept.values().nth(i));
        self.recalled.extend(frames.cloned());
        let mut latent = Vec::new();
        for seen in &self.recalled {
            latent.clear();
            latent.extend(seen.latent());
            let age = frame.saturating_sub(seen.frame);
            let features = memory_features(expected, seen.pose, age, self.config.reach);
            self.token_inputs.push(&latent, &features, tokens);
        }
    }

    /// Recalls nothing for the coming frame.
    pub(super) fn recall_nothing(&mut self) {
        self.recalled.clear();
    }

    /// Whether a memory of this world could be `self`.
    pub(super) fn belongs_to(&self, world: &WorldConfig) -> bool {
        let len = world.latent_len();
        let mut frames = self.recent.iter().chain(self.kept.values());
        world.dynamics.memory.as_ref() == Some(&self.config)
            && self.context == world.dynamics.context
            && frames.all(|frame| frame.latent.len() == len)
    }
}
