//! The shape of a world's long-term memory.

use serde::{Deserialize, Serialize};

use super::{WorldConfig, fail};
use crate::Result;

/// Long-term memory of a world whose camera moves in a plane: frames that left the context are kept
/// with the camera's pose, and read again where they show what comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Frames that are recalled for each predicted frame, M.
    #[serde(default = "default_frames")]
    pub frames: usize,
    /// Horizontal angle of view of the camera in degrees. Poses are counter-clockwise: angles grow to the
    /// left of the picture.
    pub field_of_view: f32,
    /// How far the camera sees, in the units of the poses in the training data.
    pub reach: f32,
    /// The most frames that are kept; the oldest predicted ones give way.
    #[serde(default = "default_capacity")]
    pub capacity: usize,
}

fn default_frames() -> usize {
    4
}

fn default_capacity() -> usize {
    4096
}

impl MemoryConfig {
    /// The most bytes of latents that a memory may keep: 64 MiB.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Bytes of the latents, kept as f16, of a full memory.
    pub fn bytes(&self, latent_len: usize) -> usize {
        self.capacity
            .saturating_mul(latent_len)
            .saturating_mul(size_of::<u16>())
    }

    /// Checks the values against each other and the world's.
    ///
    /// # Errors
    /// Returns an error that names the first invalid key and what was expected.
    pub(super) fn check(&self, world: &WorldConfig) -> Result<()> {
        if !(1..=16).contains(&self.frames) {
            return fail(format!(
                "dynamics.memory.frames is {}, expected 1 to 16",
                self.frames
            ));
        }
        if !(1.0..180.0).contains(&self.field_of_view) {
            return fail(format!(
                "dynamics.memory.field_of_view is {}, expected degrees from 1 to below 180",
                self.field_of_view
            ));
        }
        if !(self.reach > 0.0 && self.reach.is_finite()) {
            return fail(format!(
                "dynamics.memory.reach is {}, expected above 0",
                self.reach
            ));
        }
        let bytes = self.bytes(world.latent_len());
        if self.capacity == 0 || bytes > Self::MAX_BYTES {
            return fail(format!(
                "dynamics.memory.capacity is {}, which takes {} MiB, expected 1 or more frames in at most {} MiB",
                self.capacity,
                bytes >> 20,
                Self::MAX_BYTES >> 20
            ));
        }
        if world.dynamics.outcome == 0 {
            return fail(
                "dynamics.outcome is 0, expected above 0: the outcome head tells a memory how the camera moves"
                    .into(),
            );
        }
        if world.dynamics.last_time_layer().is_none() {
            return fail(
                "dynamics.time_every is more than dynamics.depth, expected a layer with time attention, \
                 after which memory is read"
                    .into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        DynamicsConfig, FORMAT_VERSION, FlowConfig, SamplingConfig, TokenizerConfig,
    };
    use driftless_data::ActionSpec;

    /// A world of the included shape with both memories.
    fn world() -> WorldConfig {
        WorldConfig {
            format: FORMAT_VERSION,
            name: "Test".into(),
            fps: 15.0,
            image: [64, 64],
            actions: vec![ActionSpec {
                name: "noop".into(),
                keys: Vec::new(),
            }],
            axes: Vec::new(),
            tokenizer: TokenizerConfig::default(),
            dynamics: DynamicsConfig {
                memory: Some(MemoryConfig {
                    frames: 4,
                    field_of_view: 72.0,
                    reach: 4.0,
                    capacity: 4096,
                }),
                delta_state: true,
                ..DynamicsConfig::default()
            },
            flow: FlowConfig::default(),
            sampling: SamplingConfig::default(),
        }
    }

    fn refused(change: impl Fn(&mut DynamicsConfig)) -> String {
        let mut world = world();
        change(&mut world.dynamics);
        world.check().unwrap_err().to_string()
    }

    #[test]
    fn memories_take_what_is_stated() {
        let world = world();
        world.check().unwrap();
        let memory = world.dynamics.memory.as_ref().unwrap();
        assert_eq!(memory.bytes(world.latent_len()), 4 << 20);
        // Two layers, 20 tokens, four heads of 32×32.
        assert_eq!(world.delta_state_len(), 2 * 20 * 4 * 32 * 32);
    }

    #[test]
    fn memories_out_of_range_are_refused() {
        type Change = fn(&mut MemoryConfig);
        let changes: [(Change, &str); 5] = [
            (|m| m.frames = 17, "memory.frames is 17"),
            (|m| m.field_of_view = 180.0, "memory.field_of_view is 180"),
            (|m| m.reach = f32::NAN, "memory.reach is NaN"),
            (|m| m.capacity = 0, "memory.capacity is 0"),
            (|m| m.capacity = 65_537, "at most 64 MiB"),
        ];
        for (change, expected) in changes {
            let error = refused(|d| d.memory.iter_mut().for_each(change));
            assert!(error.contains(expected), "{error}");
        }
        let error = refused(|d| d.outcome = 0);
        assert!(error.contains("dynamics.outcome is 0"), "{error}");
        let error = refused(|d| d.time_every = 5);
        assert!(error.contains("dynamics.time_every"), "{error}");
    }

    #[test]
    fn states_out_of_range_are_refused() {
        let error = refused(|d| {
            d.memory = None;
            d.time_every = 5;
        });
        assert!(error.contains("the state is read"), "{error}");
        let error = refused(|d| (d.width, d.heads) = (4096, 1));
        assert!(error.contains("delta_state takes"), "{error}");
    }
}
