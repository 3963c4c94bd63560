//! The valid ranges of the settings.

use super::{
    DeltaStateSettings, DynamicsSettings, MemorySettings, OptimizerSettings, TokenizerSettings,
    TrainSettings,
};

/// (key, whether its value is valid, valid values).
type Rule = (&'static str, bool, &'static str);

/// The most of anything that is counted. What fits into memory is less.
const MOST: usize = 65_536;
const NOT_NEGATIVE: &str = "0 or more";
const FRACTION: &str = "0 to 1";
const BELOW_ONE: &str = "0 to below 1";

impl TrainSettings {
    /// Returns an error that names the first key out of its range.
    pub(super) fn check(&self) -> Result<(), String> {
        let (tokenizer, dynamics) = (&self.tokenizer, &self.dynamics);
        check_section("", &general(self))?;
        check_section(
            "tokenizer.",
            &for_tokenizer(tokenizer, self.tokenizer_shape.patch),
        )?;
        check_section("dynamics.", &for_dynamics(dynamics, self))?;
        check_section("dynamics.memory.", &for_memory(&dynamics.memory))?;
        let delta_state = for_delta_state(&dynamics.delta_state);
        check_section("dynamics.delta_state.", &delta_state)?;
        tokenizer.optimizer.check("tokenizer.optimizer.")?;
        dynamics.optimizer.check("dynamics.optimizer.")
    }
}

impl OptimizerSettings {
    /// Returns an error that names the first key out of its range, after `prefix`.
    pub(crate) fn check(&self, prefix: &str) -> Result<(), String> {
        check_section(prefix, &for_optimizer(self))
    }
}

fn check_section(prefix: &str, rules: &[Rule]) -> Result<(), String> {
    match rules.iter().find(|(_, valid, _)| !valid) {
        Some((key, _, expected)) => Err(format!(
            "{prefix}{key} is out of its range, expected {expected}"
        )),
        None => Ok(()),
    }
}

fn is_fraction(x: f64) -> bool {
    (0.0..=1.0).contains(&x)
}

#[rustfmt::skip] // One rule per line.
fn general(s: &TrainSettings) -> [Rule; 4] {
    [
        ("save_minutes", s.save_minutes >= 0.0, NOT_NEGATIVE),
        ("memory_gib", s.memory_gib >= 0.0, NOT_NEGATIVE),
        ("open_shards", (1..=4096).contains(&s.open_shards), "1 to 4096"),
        ("preview_minutes", s.preview_minutes >= 0.0, NOT_NEGATIVE),
    ]
}

#[rustfmt::skip] // One rule per line.
fn for_tokenizer(t: &TokenizerSettings, patch: usize) -> [Rule; 12] {
    let is_noise = |std: f64| (0.0..10.0).contains(&std);
    let noise = "0 to below 10";
    let shift_fits = (1..patch).contains(&t.max_curvature_shift);
    [
        ("batch_size", (4..=MOST).contains(&t.batch_size), "4 to 65536"),
        ("rare_fraction", is_fraction(t.rare_fraction), FRACTION),
        ("hard_fraction", is_fraction(t.hard_fraction), FRACTION),
        ("foreground_weight", t.foreground_weight >= 0.0, NOT_NEGATIVE),
        ("surroundings_weight", t.surroundings_weight >= 0.0, NOT_NEGATIVE),
        ("change_weight", t.change_weight >= 0.0, NOT_NEGATIVE),
        ("latent_noise", is_noise(t.latent_noise), noise),
        ("decoder_only_noise", is_noise(t.decoder_only_noise), noise),
        ("decoder_only_fraction", is_fraction(t.decoder_only_fraction), FRACTION),
        ("max_mask_fraction", is_fraction(t.max_mask_fraction), FRACTION),
        ("curvature_weight", t.curvature_weight >= 0.0, NOT_NEGATIVE),
        ("max_curvature_shift", shift_fits, "1 or more, less than tokenizer_shape.patch"),
    ]
}

#[rustfmt::skip] // One rule per line.
fn for_dynamics(d: &DynamicsSettings, settings: &TrainSettings) -> [Rule; 14] {
    let shape = &settings.dynamics_shape;
    let dropout_fits =
        is_fraction(d.action_dropout) && (d.action_dropout == 0.0 || shape.unknown_action);
    let is_longer = d.long_sequence_every == 0
        || (d.long_sequence_length > d.sequence_length && d.long_sequence_length <= MOST);
    let sequence_fits = d.sequence_length > shape.stem_frames && d.sequence_length <= MOST;
    let signal_fits = (0.0..1.0).contains(&d.min_context_signal);
    [
        ("batch_size", (1..=MOST).contains(&d.batch_size), "1 to 65536"),
        ("sequence_length", sequence_fits, "more than dynamics_shape.stem_frames, at most 65536"),
        ("hard_fraction", is_fraction(d.hard_fraction), FRACTION),
        ("change_weight", d.change_weight >= 0.0, NOT_NEGATIVE),
        ("noised_copies", (1..=1024).contains(&d.noised_copies), "1 to 1024"),
        ("shortcut_every", d.shortcut_every >= 1, "1 or more"),
        ("pure_noise_fraction", is_fraction(d.pure_noise_fraction), FRACTION),
        ("off_grid_fraction", is_fraction(d.off_grid_fraction), FRACTION),
        ("self_generated_context", is_fraction(d.self_generated_context), FRACTION),
        ("self_generated_passes", (1..=1024).contains(&d.self_generated_passes), "1 to 1024"),
        ("action_dropout", dropout_fits, "0 to 1, and 0 if dynamics_shape.unknown_action is false"),
        ("outcome_weight", d.outcome_weight >= 0.0, NOT_NEGATIVE),
        ("long_sequence_length", is_longer, "more than dynamics.sequence_length, at most 65536"),
        ("min_context_signal", signal_fits, BELOW_ONE),
    ]
}

#[rustfmt::skip] // One rule per line.
fn for_memory(m: &MemorySettings) -> [Rule; 6] {
    let random_fits = is_fraction(m.random_fraction) && is_fraction(m.none_fraction + m.random_fraction);
    [
        ("none_fraction", is_fraction(m.none_fraction), FRACTION),
        ("random_fraction", random_fits, "0 to 1 - none_fraction"),
        ("noisy_context_fraction", is_fraction(m.noisy_context_fraction), FRACTION),
        ("position_noise", (0.0..10.0).contains(&m.position_noise), "0 to below 10"),
        ("heading_noise", (0.0..180.0).contains(&m.heading_noise), "0 to below 180"),
        ("motion_weight", m.motion_weight >= 0.0, NOT_NEGATIVE),
    ]
}

#[rustfmt::skip] // One rule per line.
fn for_delta_state(s: &DeltaStateSettings) -> [Rule; 2] {
    [
        ("max_prefix_fraction", (0.0..1.0).contains(&s.max_prefix_fraction), BELOW_ONE),
        ("noisy_context_fraction", is_fraction(s.noisy_context_fraction), FRACTION),
    ]
}

#[rustfmt::skip] // One rule per line.
fn for_optimizer(o: &OptimizerSettings) -> [Rule; 6] {
    [
        ("learning_rate", o.learning_rate > 0.0, "above 0"),
        ("muon_learning_rate", o.muon_learning_rate >= 0.0, NOT_NEGATIVE),
        ("decay_fraction", is_fraction(o.decay_fraction), FRACTION),
        ("weight_decay", o.weight_decay >= 0.0, NOT_NEGATIVE),
        ("grad_clip", o.grad_clip > 0.0, "above 0"),
        ("ema_decay", (0.0..1.0).contains(&o.ema_decay), BELOW_ONE),
    ]
}
