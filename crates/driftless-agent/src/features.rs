//! What an agent sees of a frame: numbers made of the world's tokens.

use serde::{Deserialize, Serialize};

use driftless_model::config::WorldConfig;

/// How the tokens of a frame's latent become features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean: few numbers, without places.
    #[default]
    Mean,
    /// One after another.
    All,
}

/// Where the features are among the tokens of a world: signal token, registers, latent tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureShape {
    /// Tokens of the latent.
    pub latent_tokens: usize,
    /// Register tokens.
    pub registers: usize,
    /// Numbers of a token.
    pub width: usize,
    /// What becomes of the latent's tokens.
    pub pooling: Pooling,
}

impl FeatureShape {
    /// The features of a world.
    pub fn of_world(world: &WorldConfig, pooling: Pooling) -> Self {
        Self {
            latent_tokens: world.latent_tokens(),
            registers: world.dynamics.registers,
            width: world.dynamics.width,
            pooling,
        }
    }

    /// Number of features, F.
    pub fn len(&self) -> usize {
        let latent = match self.pooling {
            Pooling::Mean => 1,
            Pooling::All => self.latent_tokens,
        };
        (1 + self.registers + latent) * self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the features of a frame's `tokens`, `[tokens, width]`. Returns `false`, and appends nothing, if
    /// they have another size.
    #[must_use]
    pub fn read(&self, tokens: &[f32], out: &mut Vec<f32>) -> bool {
        let width = self.width;
        // The action's token and the signal's follow the latent's; then come the registers.
        if tokens.len() != (self.latent_tokens + 2 + self.registers) * width {
            return false;
        }
        let (latent, rest) = tokens.split_at(self.latent_tokens * width);
        out.extend_from_slice(&rest[width..]);
        match self.pooling {
            Pooling::All => out.extend_from_slice(latent),
            Pooling::Mean => {
                let start = out.len();
                out.resize(start + width, 0.0);
                let share = 1.0 / self.latent_tokens.max(1) as f32;
                for token in latent.chunks_exact(width) {
                    for (mean, x) in out[start..].iter_mut().zip(token) {
                        *mean += share * x;
                    }
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_signal_registers_latent() {
        let mut shape = FeatureShape {
            latent_tokens: 2,
            registers: 1,
            width: 2,
            pooling: Pooling::Mean,
        };
        // Two latent tokens, the action's, the signal's, one register.
        let tokens = [1.0, 2.0, 3.0, 4.0, -1.0, -1.0, 5.0, 6.0, 7.0, 8.0];
        let mut features = Vec::new();
        assert!(shape.read(&tokens, &mut features));
        assert_eq!(features, [5.0, 6.0, 7.0, 8.0, 2.0, 3.0]);
        shape.pooling = Pooling::All;
        features.clear();
        assert!(shape.read(&tokens, &mut features));
        assert_eq!(features, [5.0, 6.0, 7.0, 8.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(features.len(), shape.len());
        assert!(!shape.read(&tokens[1..], &mut features));
    }
}
