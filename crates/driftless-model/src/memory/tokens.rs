//! The inputs of memory tokens.

use super::MEMORY_FEATURES;

/// Writes the inputs of the tokens of M recalled frames to `out` [M, tokens, merge² · c + features]: the
/// cells of each token row by row, then the features of its frame. `latents` is [M, gh, gw, c] for the
/// grid (gh, gw), `features` is [M, features]; what `out` holds behind these frames stays.
pub fn token_inputs(
    latents: &[f32],
    features: &[f32],
    [gh, gw]: [usize; 2],
    merge: usize,
    out: &mut [f32],
) {
    let (features, _) = features.as_chunks::<MEMORY_FEATURES>();
    let Some(channels) = latents.len().checked_div(features.len() * gh * gw) else {
        return;
    };
    let (line, across) = (merge * channels, gw / merge);
    let tokens = across * (gh / merge);
    let inputs = merge * line + MEMORY_FEATURES;
    let frames = latents.chunks_exact(gh * gw * channels).zip(features);
    for ((latent, features), out) in frames.zip(out.chunks_exact_mut(tokens * inputs)) {
        for (token, out) in out.chunks_exact_mut(inputs).enumerate() {
            let (cells, place) = out.split_at_mut(merge * line);
            let (row, column) = (token / across * merge, token % across * merge);
            for (i, cells) in cells.chunks_exact_mut(line).enumerate() {
                let at = ((row + i) * gw + column) * channels;
                cells.copy_from_slice(&latent[at..at + line]);
            }
            place.copy_from_slice(features);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_its_cells_and_the_features() {
        // Two frames of 2×4 cells with one channel, merged two by two.
        let latents: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let features: Vec<f32> = (0..2 * MEMORY_FEATURES).map(|x| 100.0 + x as f32).collect();
        let inputs = 4 + MEMORY_FEATURES;
        let mut out = vec![-1.0; 6 * inputs];
        token_inputs(&latents, &features, [2, 4], 2, &mut out);
        let cells = |token: usize| &out[token * inputs..token * inputs + 4];
        assert_eq!(cells(0), [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(cells(1), [2.0, 3.0, 6.0, 7.0]);
        assert_eq!(cells(3), [10.0, 11.0, 14.0, 15.0]);
        assert_eq!(out[3 * inputs + 4..4 * inputs], features[MEMORY_FEATURES..]);
        assert_eq!(out[4 * inputs..], [-1.0; 24]);
    }
}
