//! The ranges of the settings.

use super::Settings;

impl Settings {
    /// The first key that is out of its range, if any.
    pub(super) fn check(&self) -> Result<(), String> {
        let (t, d) = (&self.tokenizer, &self.dynamics);
        let (in_share, share) = (|x: f64| (0.0..=1.0).contains(&x), "0 to 1");
        let (in_noise, noise) = (|x: f64| (0.0..10.0).contains(&x), "0 to below 10");
        let not_negative = "0 or more";
        let shape = &self.dynamics_shape;
        let stem = shape.stem_frames;
        let rows = [
            ("save_minutes", self.save_minutes >= 0.0, not_negative),
            ("memory_gib", self.memory_gib >= 0.0, not_negative),
            ("preview_minutes", self.preview_minutes >= 0.0, not_negative),
            ("tokenizer.batch", t.batch >= 4, "4 or more"),
            ("tokenizer.rare", in_share(t.rare), share),
            ("tokenizer.foreground", t.foreground >= 0.0, not_negative),
            ("tokenizer.noise", in_noise(t.noise), noise),
            ("tokenizer.polish_noise", in_noise(t.polish_noise), noise),
            ("tokenizer.polish", in_share(t.polish), share),
            ("tokenizer.mask", in_share(t.mask), share),
            ("tokenizer.curvature", t.curvature >= 0.0, not_negative),
            (
                "tokenizer.shift",
                (1..self.tokenizer_shape.patch).contains(&t.shift),
                "1 or more, less than tokenizer_shape.patch",
            ),
            ("dynamics.batch", d.batch >= 1, "1 or more"),
            (
                "dynamics.frames",
                d.frames > stem,
                "more than dynamics_shape.stem_frames",
            ),
            ("dynamics.copies", d.copies >= 1, "1 or more"),
            (
                "dynamics.shortcut_every",
                d.shortcut_every >= 1,
                "1 or more",
            ),
            ("dynamics.pure_noise", in_share(d.pure_noise), share),
            ("dynamics.between", in_share(d.between), share),
            ("dynamics.own_context", in_share(d.own_context), share),
            ("dynamics.own_passes", d.own_passes >= 1, "1 or more"),
            (
                "dynamics.action_dropout",
                in_share(d.action_dropout) && (d.action_dropout == 0.0 || shape.unknown_action),
                "0 to 1, and 0 where dynamics_shape.unknown_action is false",
            ),
            (
                "dynamics.outcome_weight",
                d.outcome_weight >= 0.0,
                not_negative,
            ),
            (
                "dynamics.long_frames",
                d.long_every == 0 || d.long_frames > d.frames,
                "more than dynamics.frames",
            ),
            (
                "dynamics.context_signal",
                (0.0..1.0).contains(&d.context_signal),
                "0 to below 1",
            ),
        ];
        let found = |key: &str, expected: &str| {
            Err(format!("{key} is out of its range, expected {expected}"))
        };
        for (key, fits, expected) in rows {
            if !fits {
                return found(key, expected);
            }
        }
        for (stage, o) in [("tokenizer", &t.optimizer), ("dynamics", &d.optimizer)] {
            let rows = [
                ("rate", o.rate > 0.0, "above 0"),
                ("muon_rate", o.muon_rate >= 0.0, not_negative),
                ("decay", in_share(o.decay), share),
                ("weight_decay", o.weight_decay >= 0.0, not_negative),
                ("clip", o.clip > 0.0, "above 0"),
                ("ema", (0.0..1.0).contains(&o.ema), "0 to below 1"),
            ];
            for (key, fits, expected) in rows {
                if !fits {
                    return found(&format!("{stage}.optimizer.{key}"), expected);
                }
            }
        }
        Ok(())
    }
}
