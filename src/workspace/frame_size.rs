//! Which sizes of frames can be trained without settings of one's own.

use clap::ValueEnum as _;

use driftless_train::{TrainPreset, TrainSettings};

/// What to say of frames of this height and width before they are recorded; `None` if a preset trains them.
pub fn remark([height, width]: [usize; 2]) -> Option<String> {
    let token = |preset: &TrainPreset| {
        let settings = TrainSettings::preset(*preset);
        settings.tokenizer_shape.patch * settings.dynamics_shape.merge
    };
    let tokens = TrainPreset::value_variants().iter().map(token);
    let fits = |&token: &usize| height.is_multiple_of(token) && width.is_multiple_of(token);
    if tokens.clone().any(|token| fits(&token)) {
        return None;
    }
    let token = tokens.min()?;
    Some(format!(
        "no preset trains frames of {height}×{width}: expected sides that are multiples of {token}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_multiples() {
        assert_eq!(remark([96, 112]), None);
        let text = remark([50, 64]).unwrap();
        assert!(
            text.contains("50×64: expected sides that are multiples of 16"),
            "{text}"
        );
        assert!(remark([64, 8]).is_some());
    }
}
