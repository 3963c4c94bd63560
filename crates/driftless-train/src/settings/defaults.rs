//! Default settings and presets.

use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::config::{DynamicsConfig, SamplingConfig, TokenizerConfig};
use driftless_model::precision::Precision;

use super::{
    DeltaStateSettings, DynamicsSettings, MemorySettings, OptimizerSettings, TokenizerSettings,
    TrainSettings,
};

/// How many shards are drawn from at a time.
pub(super) fn open_shards() -> usize {
    8
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            save_minutes: 5.0,
            preview_minutes: 10.0,
            memory_gib: 4.0,
            open_shards: open_shards(),
            precision: Precision::F32,
            tokenizer_shape: TokenizerConfig::default(),
            dynamics_shape: DynamicsConfig::default(),
            tokenizer: TokenizerSettings::default(),
            dynamics: DynamicsSettings::default(),
            sampling: SamplingConfig::default(),
        }
    }
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self {
            optimizer: OptimizerSettings {
                steps: 12_000,
                learning_rate: 2e-3,
                muon_learning_rate: 4e-3,
                warmup_steps: 100,
                decay_fraction: 0.25,
                weight_decay: 0.0,
                grad_clip: 1.0,
                ema_decay: 0.99,
            },
            batch_size: 32,
            rare_fraction: 0.5,
            hard_fraction: 0.25,
            foreground_weight: 20.0,
            surroundings_weight: 5.0,
            change_weight: 0.0,
            latent_noise: 0.5,
            decoder_only_noise: 0.1,
            decoder_only_fraction: 0.6,
            curvature_weight: 2.0,
            max_curvature_shift: 2,
            max_mask_fraction: 0.0,
        }
    }
}

impl Default for DynamicsSettings {
    fn default() -> Self {
        Self {
            optimizer: OptimizerSettings {
                steps: 16_000,
                learning_rate: 2e-3,
                muon_learning_rate: 4e-3,
                warmup_steps: 100,
                decay_fraction: 0.4,
                weight_decay: 0.0,
                grad_clip: 1.0,
                ema_decay: 0.998,
            },
            prediction: Prediction::X,
            path: Path::Linear,
            loss_space: None,
            early_steps: 0,
            batch_size: 6,
            sequence_length: 16,
            hard_fraction: 0.0,
            change_weight: 0.0,
            noised_copies: 2,
            shortcut_every: 2,
            pure_noise_fraction: 0.4,
            off_grid_fraction: 0.3,
            min_context_signal: 0.8,
            self_generated_context: 0.4,
            self_generated_passes: 2,
            action_dropout: 0.1,
            outcome_weight: 0.1,
            long_sequence_every: 0,
            long_sequence_length: 48,
            memory: MemorySettings::default(),
            delta_state: DeltaStateSettings::default(),
        }
    }
}

impl Default for DeltaStateSettings {
    fn default() -> Self {
        Self {
            max_prefix_fraction: 0.6,
            noisy_context_fraction: 0.3,
        }
    }
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self {
            none_fraction: 0.15,
            random_fraction: 0.15,
            noisy_context_fraction: 0.3,
            position_noise: 0.02,
            heading_noise: 2.0,
            motion_weight: 0.1,
        }
    }
}

/// Sizes of networks and batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum TrainPreset {
    /// For CPUs, about 1 million parameters. The included worlds use it.
    #[default]
    Tiny,
    /// As `tiny`, with patches of 4 pixels: for small things in front of scenes that change.
    Fine,
    /// For a small GPU, about 12 million parameters and twice the context of `tiny`.
    Small,
    /// For a large GPU, about 60 million parameters and four times the context of `tiny`.
    Base,
}

impl TrainPreset {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Fine => "fine",
            Self::Small => "small",
            Self::Base => "base",
        }
    }
}

impl TrainSettings {
    /// The default settings with the sizes of a preset.
    pub fn preset(preset: TrainPreset) -> Self {
        let mut settings = Self::default();
        let (t, d) = (&mut settings.tokenizer_shape, &mut settings.dynamics_shape);
        let (tokenizer, dynamics) = (&mut settings.tokenizer, &mut settings.dynamics);
        match preset {
            TrainPreset::Tiny => {}
            TrainPreset::Fine => {
                (t.patch, t.width, t.hidden, t.channels) = (4, 32, 96, 6);
                (d.merge, d.stem_width) = (4, 32);
                (tokenizer.latent_noise, tokenizer.decoder_only_noise) = (0.2, 0.05);
                tokenizer.decoder_only_fraction = 0.4;
                tokenizer.curvature_weight = 0.5;
                tokenizer.hard_fraction = 0.5;
                // What moves is small, and what stands still differs from level to level.
                (tokenizer.foreground_weight, tokenizer.change_weight) = (10.0, 300.0);
            }
            TrainPreset::Small => {
                (t.width, t.hidden, t.channels) = (96, 256, 12);
                (d.stem_width, d.width, d.depth, d.heads, d.mlp) = (96, 320, 8, 5, 832);
                (d.context, d.registers) = (24, 4);
                (
                    tokenizer.batch_size,
                    dynamics.batch_size,
                    dynamics.sequence_length,
                ) = (64, 16, 28);
            }
            TrainPreset::Base => {
                (t.width, t.hidden, t.blocks, t.channels) = (128, 512, 3, 16);
                (d.stem_width, d.width, d.depth, d.heads, d.mlp) = (128, 640, 10, 10, 1728);
                (d.time_every, d.context, d.registers) = (2, 48, 4);
                (
                    tokenizer.batch_size,
                    dynamics.batch_size,
                    dynamics.sequence_length,
                ) = (128, 8, 52);
                dynamics.optimizer.learning_rate = 1e-3;
            }
        }
        settings
    }
}
