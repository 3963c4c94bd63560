//! Built-in sampler presets.

use driftless_engine::SamplerParams;

use super::settings::SamplerLimits;

/// Built-in sampler presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QualityPreset {
    /// One step.
    Fast,
    /// The default steps.
    Balanced,
    /// The most steps the network was trained for.
    Best,
}

impl QualityPreset {
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Best];

    pub fn label(self) -> &'static str {
        match self {
            Self::Fast => "Fast",
            Self::Balanced => "Balanced",
            Self::Best => "Best",
        }
    }

    /// The parameters of this preset for a world that `own` suits, with the seed of `params`.
    pub fn params(
        self,
        params: &SamplerParams,
        limits: &SamplerLimits,
        own: &SamplerParams,
    ) -> SamplerParams {
        let balanced = SamplerParams {
            seed: params.seed,
            context: *limits.context.end(),
            ..*own
        };
        let finest = limits.steps.last().copied().unwrap_or(1);
        let steps = match self {
            Self::Fast => 1,
            Self::Balanced => balanced.steps.min(finest),
            Self::Best => finest,
        };
        SamplerParams { steps, ..balanced }
    }
}
