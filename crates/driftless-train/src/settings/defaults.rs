//! What settings that a file leaves out are.

use super::{DynamicsSettings, OptimizerSettings, Settings, TokenizerSettings};
use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::config::{DynamicsConfig, TokenizerConfig};
use driftless_model::precision::Precision;

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            save_minutes: 5.0,
            preview_minutes: 10.0,
            memory_gib: 4.0,
            precision: Precision::F32,
            tokenizer_shape: TokenizerConfig::default(),
            dynamics_shape: DynamicsConfig::default(),
            tokenizer: TokenizerSettings::default(),
            dynamics: DynamicsSettings::default(),
        }
    }
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self {
            optimizer: OptimizerSettings {
                steps: 12_000,
                rate: 2e-3,
                muon_rate: 4e-3,
                warm_up: 100,
                decay: 0.25,
                weight_decay: 0.0,
                clip: 1.0,
                ema: 0.99,
            },
            batch: 32,
            rare: 0.5,
            foreground: 20.0,
            noise: 0.5,
            polish_noise: 0.1,
            polish: 0.6,
            curvature: 2.0,
            shift: 2,
            mask: 0.0,
        }
    }
}

impl Default for DynamicsSettings {
    fn default() -> Self {
        Self {
            optimizer: OptimizerSettings {
                steps: 16_000,
                rate: 2e-3,
                muon_rate: 4e-3,
                warm_up: 100,
                decay: 0.4,
                weight_decay: 0.0,
                clip: 1.0,
                ema: 0.998,
            },
            prediction: Prediction::X,
            path: Path::Linear,
            loss: None,
            batch: 6,
            frames: 16,
            copies: 2,
            shortcut_every: 2,
            pure_noise: 0.4,
            between: 0.3,
            context_signal: 0.8,
            own_context: 0.4,
            own_passes: 2,
            action_dropout: 0.1,
            outcome_weight: 0.1,
            long_every: 0,
            long_frames: 48,
        }
    }
}

/// Sizes of networks and batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Preset {
    /// For processors: what the shipped worlds are made with, about a million parameters.
    #[default]
    Tiny,
    /// For a small GPU: about twelve million parameters, twice the context.
    Small,
    /// For a large GPU: about sixty million parameters, four times the context.
    Base,
}

impl Settings {
    /// The defaults of a preset.
    pub fn preset(preset: Preset) -> Self {
        let mut settings = Self::default();
        let (t, d) = (&mut settings.tokenizer_shape, &mut settings.dynamics_shape);
        let (tokenizer, dynamics) = (&mut settings.tokenizer, &mut settings.dynamics);
        match preset {
            Preset::Tiny => {}
            Preset::Small => {
                (t.width, t.hidden, t.channels) = (96, 256, 12);
                (d.stem_width, d.width, d.depth, d.heads, d.mlp) = (96, 320, 8, 5, 832);
                (d.context, d.registers) = (24, 4);
                (tokenizer.batch, dynamics.batch, dynamics.frames) = (64, 16, 28);
            }
            Preset::Base => {
                (t.width, t.hidden, t.blocks, t.channels) = (128, 512, 3, 16);
                (d.stem_width, d.width, d.depth, d.heads, d.mlp) = (128, 640, 10, 10, 1728);
                (d.time_every, d.context, d.registers) = (2, 48, 4);
                (tokenizer.batch, dynamics.batch, dynamics.frames) = (128, 8, 52);
                dynamics.optimizer.rate = 1e-3;
            }
        }
        settings
    }
}
