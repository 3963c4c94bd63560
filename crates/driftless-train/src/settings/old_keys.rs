//! Old names of settings keys, which stay readable.

use toml::{Table, Value};

/// (table, old key, new key).
const RENAMED: [(&str, &str, &str); 32] = [
    ("tokenizer.optimizer", "rate", "learning_rate"),
    ("tokenizer.optimizer", "muon_rate", "muon_learning_rate"),
    ("tokenizer.optimizer", "warm_up", "warmup_steps"),
    ("tokenizer.optimizer", "decay", "decay_fraction"),
    ("tokenizer.optimizer", "clip", "grad_clip"),
    ("tokenizer.optimizer", "ema", "ema_decay"),
    ("tokenizer", "batch", "batch_size"),
    ("tokenizer", "rare", "rare_fraction"),
    ("tokenizer", "foreground", "foreground_weight"),
    ("tokenizer", "noise", "latent_noise"),
    ("tokenizer", "polish_noise", "decoder_only_noise"),
    ("tokenizer", "polish", "decoder_only_fraction"),
    ("tokenizer", "curvature", "curvature_weight"),
    ("tokenizer", "shift", "max_curvature_shift"),
    ("tokenizer", "mask", "max_mask_fraction"),
    ("dynamics.optimizer", "rate", "learning_rate"),
    ("dynamics.optimizer", "muon_rate", "muon_learning_rate"),
    ("dynamics.optimizer", "warm_up", "warmup_steps"),
    ("dynamics.optimizer", "decay", "decay_fraction"),
    ("dynamics.optimizer", "clip", "grad_clip"),
    ("dynamics.optimizer", "ema", "ema_decay"),
    ("dynamics", "loss", "loss_space"),
    ("dynamics", "batch", "batch_size"),
    ("dynamics", "frames", "sequence_length"),
    ("dynamics", "copies", "noised_copies"),
    ("dynamics", "pure_noise", "pure_noise_fraction"),
    ("dynamics", "between", "off_grid_fraction"),
    ("dynamics", "context_signal", "min_context_signal"),
    ("dynamics", "own_context", "self_generated_context"),
    ("dynamics", "own_passes", "self_generated_passes"),
    ("dynamics", "long_every", "long_sequence_every"),
    ("dynamics", "long_frames", "long_sequence_length"),
];

/// A key that a file gives by its old name.
pub(super) struct Renamed {
    old: &'static str,
    new: &'static str,
}

/// Renames the old keys of a settings table, and returns them.
///
/// # Errors
/// Returns an error if the table holds a key under both names.
pub(super) fn rename(settings: &mut Table) -> Result<Vec<Renamed>, String> {
    let mut renamed = Vec::new();
    for (path, old, new) in RENAMED {
        let Some(table) = subtable(settings, path) else {
            continue;
        };
        let Some(value) = table.remove(old) else {
            continue;
        };
        if table.insert(new.to_owned(), value).is_some() {
            return Err(format!(
                "{path}.{new} is given twice, as `{new}` and by its old name `{old}`"
            ));
        }
        renamed.push(Renamed { old, new });
    }
    Ok(renamed)
}

/// Adds to an error the old names of the keys that it mentions.
pub(super) fn explain(mut error: String, renamed: &[Renamed]) -> String {
    let mentioned = |error: &str, key: &str| {
        let mut words = error.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == key)
    };
    let keys = renamed.iter().filter(|key| mentioned(&error, key.new));
    let notes: Vec<_> = keys
        .map(|key| format!(" (`{}` is the old name of `{}`)", key.old, key.new))
        .collect();
    notes.iter().for_each(|note| {
        if !error.contains(note) {
            error.push_str(note);
        }
    });
    error
}

fn subtable<'a>(settings: &'a mut Table, path: &str) -> Option<&'a mut Table> {
    path.split('.')
        .try_fold(settings, |table, key| match table.get_mut(key) {
            Some(Value::Table(inner)) => Some(inner),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::super::TrainSettings;
    use super::*;

    /// Every key in TOML, with values that differ from the defaults.
    const OLD: &str = r#"
seed = 3
[tokenizer]
batch = 33
rare = 0.51
foreground = 21.0
noise = 0.52
polish_noise = 0.12
polish = 0.61
curvature = 2.1
shift = 3
mask = 0.13
[tokenizer.optimizer]
steps = 1000
rate = 1e-3
muon_rate = 2e-3
warm_up = 11
decay = 0.26
weight_decay = 0.01
clip = 1.1
ema = 0.91
[dynamics]
prediction = "v"
path = "cosine"
loss = "x"
batch = 7
frames = 17
copies = 3
shortcut_every = 4
pure_noise = 0.41
between = 0.31
context_signal = 0.81
own_context = 0.42
own_passes = 5
action_dropout = 0.11
outcome_weight = 0.12
long_every = 6
long_frames = 49
[dynamics.optimizer]
steps = 2000
rate = 3e-3
muon_rate = 5e-3
warm_up = 12
decay = 0.27
weight_decay = 0.02
clip = 1.2
ema = 0.92
"#;

    fn in_new_names(text: &str) -> String {
        let mut table = "";
        let mut lines = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_end_matches(']');
            }
            let renamed = line.split_once(" = ").and_then(|(key, value)| {
                let known = |(path, old, _): &&(&str, &str, &str)| *path == table && *old == key;
                let (.., new) = RENAMED.iter().find(known)?;
                Some(format!("{new} = {value}"))
            });
            lines.push(renamed.unwrap_or_else(|| line.to_owned()));
        }
        lines.join("\n")
    }

    #[test]
    fn old_keys_give_the_same_settings() {
        let base = TrainSettings::default();
        let new = in_new_names(OLD);
        let old = TrainSettings::parse(OLD, &base).unwrap();
        assert_eq!(old, TrainSettings::parse(&new, &base).unwrap());
        let written: Table = toml::from_str(&toml::to_string(&old).unwrap()).unwrap();
        for (path, old, new) in RENAMED {
            let line = format!("\n{old} = ");
            assert!(OLD.contains(&line), "{path}.{old} is not tested");
            let mut written = written.clone();
            let table = subtable(&mut written, path).unwrap();
            assert!(table.contains_key(new), "{path} has no {new}");
            let mut default = Table::try_from(&base).unwrap();
            let default = subtable(&mut default, path).unwrap().get(new);
            assert_ne!(table.get(new), default, "{path}.{new} is the default");
        }
    }

    #[test]
    fn errors_mention_the_old_key() {
        let error = |text: &str| TrainSettings::parse(text, &TrainSettings::default()).unwrap_err();
        let range = error("[dynamics]\nown_context = 1.5\n");
        assert!(range.contains("dynamics.self_generated_context"), "{range}");
        assert!(range.contains("`own_context`"), "{range}");
        let twice = error("[tokenizer.optimizer]\nrate = 0.1\nlearning_rate = 0.1\n");
        assert!(
            twice.contains("`rate`") && twice.contains("given twice"),
            "{twice}"
        );
    }
}
