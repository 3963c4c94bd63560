//! Floating-point operations of the networks, counted from their shapes.

use serde::Serialize;

use driftless_model::config::{DynamicsConfig, WorldConfig};

/// Floating-point operations of each stage of a frame; a multiply-add counts as 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FlopCounts {
    /// What all passes over a frame share: the parts of stem and skip that read past latents.
    pub shared: u64,
    /// One denoise pass.
    pub denoise: u64,
    /// The pass that writes the KV cache.
    pub cache: u64,
    /// Decoding a latent to pixels.
    pub decode: u64,
    /// Encoding pixels to a latent.
    pub encode: u64,
}

impl FlopCounts {
    /// A whole frame with `steps` denoise passes.
    pub fn frame(&self, steps: usize) -> u64 {
        self.shared + steps as u64 * self.denoise + self.cache + self.decode
    }
}

/// Counts the minimum for one frame of a world with a full KV cache.
///
/// Counted: linear layers, 3×3 convolutions (border cells like inner ones) and the two products of
/// attention. Not counted: embeddings of action, signal level and step size, norms, activations, softmax
/// and additions, together a few percent. Work that depends only on earlier frames counts once per frame,
/// not once per pass. The cache pass ends with the keys and values of the last temporal attention; worlds
/// that predict outcomes also need that attention and the outcome head.
pub fn count_flops(world: &WorldConfig) -> FlopCounts {
    let (t, d) = (&world.tokenizer, &world.dynamics);
    let (cells, channels) = (world.cells(), t.channels);
    let (tokens, latent_tokens) = (world.tokens(), world.latent_tokens());
    let past = d.stem_frames * channels;
    let merged = d.merge * d.merge * d.stem_width;

    let shared = cells * past * (9 * d.stem_width + channels);
    let stem = cells * 9 * channels * d.stem_width
        + cell_block(cells, d.stem_width)
        + latent_tokens * merged * d.width;
    let head = latent_tokens * d.width * merged
        + cell_block(cells, d.stem_width)
        + cells * channels * (d.stem_width + channels);
    let layers: usize = (0..d.depth).map(|i| layer(d, tokens, i)).sum();
    let last = d.last_time_layer().filter(|_| d.context > 1);
    let written = last.map_or(0, |last| {
        let before: usize = (0..last).map(|i| layer(d, tokens, i)).sum();
        let keys_and_values = tokens * d.width * 2 * d.width;
        let outcome = match d.outcome {
            0 => 0,
            hidden => {
                let attended = attention(tokens, d.width, d.context);
                attended - tokens * d.width * 2 * d.width + d.width * hidden + 2 * hidden
            }
        };
        stem + before + attention(tokens, d.width, tokens) + keys_and_values + outcome
    });

    let pixels = t.patch * t.patch * 3;
    let cell_part = cells * t.width * channels + t.blocks * cell_block(cells, t.width);
    let decode = cell_part + cells * t.hidden * (2 * t.width + pixels);
    let encode = cell_part + cells * t.hidden * (2 * pixels + t.width);
    FlopCounts {
        shared: 2 * shared as u64,
        denoise: 2 * (stem + layers + head) as u64,
        cache: 2 * written as u64,
        decode: 2 * decode as u64,
        encode: 2 * encode as u64,
    }
}

/// The training settings on which the work per frame depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingShape {
    /// Frames in a batch of the tokenizer.
    pub tokenizer_batch: usize,
    /// Frames of a sequence of the dynamics.
    pub sequence_length: usize,
    /// Noised copies of each sequence.
    pub noised_copies: usize,
    /// Every how many steps there is a shortcut step.
    pub shortcut_every: u64,
}

/// Floating-point operations of training, per frame that `driftless train` counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingFlops {
    /// While encoder and decoder are trained together.
    pub tokenizer: f64,
    /// Mean of plain and shortcut steps of the usual length, without self-generated context.
    pub dynamics: f64,
}

/// Counts a forward pass, and twice that for the gradients of inputs and weights, except the gradients
/// of the given latents and pixels. What is counted is as in [`count_flops`].
pub fn count_training_flops(world: &WorldConfig, training: &TrainingShape) -> TrainingFlops {
    let flop = count_flops(world);
    let pixels = world.image_len();
    // The map from pixels is [2·hidden, patch·patch·3] for each cell.
    let given = 2 * 2 * world.tokenizer.hidden * pixels;
    let encoder = 3 * flop.encode as usize - given;
    let batch = training.tokenizer_batch.max(1);
    let encoded = (batch + 2 * (batch / 4)) as f64 / batch as f64;
    TrainingFlops {
        tokenizer: encoded * encoder as f64 + 3.0 * flop.decode as f64,
        dynamics: dynamics_training_flops(world, training),
    }
}

fn dynamics_training_flops(world: &WorldConfig, training: &TrainingShape) -> f64 {
    let shape = &world.dynamics;
    let (cells, tokens, latent_tokens) = (world.cells(), world.tokens(), world.latent_tokens());
    let channels = world.tokenizer.channels;
    let all = (1 + shape.stem_frames) * channels;
    let merged = shape.merge * shape.merge * shape.stem_width;
    let first = cells * 9 * all * shape.stem_width;
    let stem = first + cell_block(cells, shape.stem_width) + latent_tokens * merged * shape.width;
    let head = latent_tokens * shape.width * merged
        + cell_block(cells, shape.stem_width)
        + cells * channels * (shape.stem_width + all);
    // Frames that a frame attends to, itself included, on average over a sequence.
    let attended = |frame: usize| frame.min(shape.context - 1) + 1;
    let length = training.sequence_length;
    let keys = (0..length).map(attended).sum::<usize>() / length.max(1);
    let layers = |count: usize, clean: bool| -> usize {
        (0..count)
            .map(|i| {
                let time = if shape.has_time(i) {
                    attention(tokens, shape.width, keys)
                } else {
                    0
                };
                let mlp = if clean && i + 1 == count {
                    0
                } else {
                    tokens * 3 * shape.mlp * shape.width
                };
                attention(tokens, shape.width, tokens) + time + mlp
            })
            .sum()
    };
    // Clean frames are not needed after the last temporal attention.
    let last = shape.last_time_layer().unwrap_or(0);
    let clean = stem + layers(last + 1, true);
    let noised = stem + layers(shape.depth, false) + head;
    let (copies, skip) = (training.noised_copies as f64, cells * channels * all);
    let trained = (3 * clean - first) as f64 + copies * (3 * noised - first - skip) as f64;
    let targets = 2.0 * noised as f64 / training.shortcut_every.max(1) as f64;
    2.0 * (trained + targets) / copies
}

/// Multiply-adds of layer `i` of the trunk.
fn layer(d: &DynamicsConfig, tokens: usize, i: usize) -> usize {
    let space = attention(tokens, d.width, tokens);
    let time = if d.has_time(i) {
        attention(tokens, d.width, d.context)
    } else {
        0
    };
    space + time + tokens * 3 * d.mlp * d.width
}

/// Multiply-adds of an attention layer in which each of `tokens` queries sees `keys` keys.
fn attention(tokens: usize, width: usize, keys: usize) -> usize {
    tokens * width * (4 * width + 2 * keys)
}

/// Multiply-adds of a residual 3×3 block.
fn cell_block(cells: usize, width: usize) -> usize {
    cells * 10 * width * width
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4×4 pixels, 2×2 cells of 3 channels, 1 latent token and 3 others, temporal attention in the second
    /// of three layers.
    fn tiny() -> WorldConfig {
        serde_json::from_value(serde_json::json!({
            "format": 1, "name": "Tiny", "fps": 15.0, "image": [4, 4],
            "actions": [{"name": "noop", "keys": []}],
            "tokenizer": {"patch": 2, "width": 5, "hidden": 6, "blocks": 2, "channels": 3},
            "dynamics": {"merge": 2, "stem_width": 4, "stem_frames": 1, "width": 6, "depth": 3,
                "heads": 2, "mlp": 7, "time_every": 2, "context": 8, "registers": 1, "k_max": 4}
        }))
        .unwrap()
    }

    #[test]
    fn count_matches_hand_count() {
        // 2·2 cells with 3 channels of the current latent and 3 of the past one.
        let past = 4 * (9 * 3) * 4 + 4 * 3 * 3; // 468
        let stem_conv = 4 * (9 * 3) * 4; // 432
        let block = 4 * (9 * 4) * 4 + 4 * 4 * 4; // 640
        let merge = (4 * 4) * 6; // 96
        // 4 tokens of width 6.
        let space = 4 * 6 * 18 + 4 * 4 * 6 + 4 * 4 * 6 + 4 * 6 * 6; // 768
        let time = 4 * 6 * 18 + 4 * 8 * 6 + 4 * 8 * 6 + 4 * 6 * 6; // 960
        let mlp = 4 * 6 * 14 + 4 * 7 * 6; // 504
        let head = (6 * 16) + block + 4 * 4 * 3 + 4 * 3 * 3; // 820
        let denoise = stem_conv + block + merge + 3 * (space + mlp) + time + head;
        // Up to the second layer's keys and values.
        let cache = stem_conv + block + merge + (space + mlp) + space + 4 * 6 * 12;
        // 12 values per patch, two blocks of width 5.
        let blocks = 2 * (4 * 45 * 5 + 4 * 5 * 5); // 2000
        let decode = 4 * 3 * 5 + blocks + 4 * 5 * 12 + 4 * 6 * 12; // 2588
        let encode = 4 * 12 * 12 + 4 * 6 * 5 + blocks + 4 * 5 * 3; // 2756
        let expected = FlopCounts {
            shared: 2 * past,
            denoise: 2 * denoise,
            cache: 2 * cache,
            decode: 2 * decode,
            encode: 2 * encode,
        };
        assert_eq!(count_flops(&tiny()), expected);
        assert_eq!(expected.frame(0), 936 + 6_992 + 5_176);
        assert_eq!(expected.denoise, 13_528);
    }

    #[test]
    fn shared_part_counts_once() {
        let flop = count_flops(&tiny());
        assert_eq!(flop.frame(4), 936 + 4 * 13_528 + 6_992 + 5_176);
    }

    #[test]
    fn outcome_head_costs_extra() {
        let mut world = tiny();
        world.dynamics.outcome = 5;
        // Queries, logits, values, output; then 6 → 5 → 2.
        let more = 4 * 6 * 6 + 4 * 8 * 6 + 4 * 8 * 6 + 4 * 6 * 6 + 6 * 5 + 5 * 2;
        assert_eq!(count_flops(&world).cache, 6_992 + 2 * more);
    }

    #[test]
    fn trained_frame_matches_hand_count() {
        let shape = TrainingShape {
            tokenizer_batch: 8,
            sequence_length: 3,
            noised_copies: 2,
            shortcut_every: 4,
        };
        let counted = count_training_flops(&tiny(), &shape);
        // 2·2 cells of 6 numbers; a frame sees 2 frames on average.
        let first = 4 * (9 * 6) * 4; // 864
        let (block, merge) = (640, 96);
        let (space, mlp) = (768, 504);
        let time = 4 * 6 * 18 + 4 * 2 * 6 + 4 * 2 * 6 + 4 * 6 * 6; // 672
        let skip = 4 * 3 * 6; // 72
        let head = 96 + block + 4 * 3 * 4 + skip; // 856
        let clean = first + block + merge + 2 * space + mlp + time;
        let noised = first + block + merge + 3 * (space + mlp) + time + head;
        let steps = (3 * clean - first) + 2 * (3 * noised - first - skip) + noised / 2;
        assert_eq!(counted.dynamics, f64::from(steps));
        // A quarter of the frames is encoded shifted, twice; no gradient for the pixels.
        let encoder = 3 * 2 * 2756 - 2 * 4 * 12 * 12;
        assert_eq!(
            counted.tokenizer,
            1.5 * f64::from(encoder) + 3.0 * 2.0 * 2588.0
        );
    }

    #[test]
    fn no_time_attention_no_cache_pass() {
        let mut world = tiny();
        world.dynamics.time_every = 4;
        assert_eq!(count_flops(&world).cache, 0);
    }
}
