//! Writes both files of a checkpoint at the published widths with random weights, to measure speed with: 128 MB in half
//! precision.
//!
//! ```sh
//! cargo run --release -p driftless-dreamer --example dreamer_random -- FOLDER
//! ```

use std::path::Path;

use driftless_published::testing::{Shapes, linear, write_random};

const DEPTH: usize = 8;
/// Width of the tokenizer, and of the dynamics.
const WIDTHS: [usize; 2] = [256, 512];
/// Latent tokens, and numbers of each.
const LATENT: [usize; 2] = [16, 32];
/// Latent tokens that one of the dynamics takes.
const PACKED: usize = 2;
/// Patches of 4×4 in 128×128, and numbers of each.
const PATCHES: [usize; 2] = [1024, 48];
const ACTUATORS: usize = 16;
const REGISTERS: usize = 4;
const FINEST: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    for (name, shapes) in [
        ("tokenizer.safetensors", tokenizer()),
        ("dynamics.safetensors", dynamics()),
    ] {
        write_random(&Path::new(&folder).join(name), &shapes)?;
    }
    Ok(())
}

fn transformer(shapes: &mut Shapes, name: &str, width: usize) {
    for layer in 0..DEPTH {
        let part = |part: &str| format!("{name}.layers.{layer}.{part}");
        for norm in ["norm1", "norm2", "norm3"] {
            shapes.insert(part(&format!("{norm}.scale")), vec![width]);
        }
        for kind in ["space", "time"] {
            linear(
                shapes,
                &part(&format!("{kind}.attn.qkv")),
                [3 * width, width],
            );
            linear(shapes, &part(&format!("{kind}.attn.out")), [width, width]);
        }
        linear(shapes, &part("mlp.fc_in"), [8 * width, width]);
        linear(shapes, &part("mlp.fc_out"), [width, 4 * width]);
    }
}

fn tokenizer() -> Shapes {
    let ([width, _], [latents, channels], [patches, pixels]) = (WIDTHS, LATENT, PATCHES);
    let mut shapes = Shapes::new();
    shapes.insert("encoder.latents".into(), vec![latents, width]);
    shapes.insert("encoder.mae.mask_token".into(), vec![width]);
    shapes.insert("decoder.patch_queries".into(), vec![patches, width]);
    linear(&mut shapes, "encoder.patch_proj", [width, pixels]);
    linear(&mut shapes, "encoder.bottleneck_proj", [channels, width]);
    linear(&mut shapes, "decoder.up_proj", [width, channels]);
    linear(&mut shapes, "decoder.patch_head", [pixels, width]);
    transformer(&mut shapes, "encoder.transformer", width);
    transformer(&mut shapes, "decoder.transformer", width);
    shapes
}

fn dynamics() -> Shapes {
    let ([_, width], numbers) = (WIDTHS, PACKED * LATENT[1]);
    let mut shapes = Shapes::new();
    shapes.insert("action_encoder.base".into(), vec![width]);
    shapes.insert("register_tokens".into(), vec![REGISTERS, width]);
    shapes.insert("signal_embed.weight".into(), vec![FINEST + 1, width]);
    let sizes = FINEST.ilog2() as usize + 1;
    shapes.insert("step_embed.weight".into(), vec![sizes, width]);
    linear(&mut shapes, "action_encoder.fc1", [2 * width, ACTUATORS]);
    linear(&mut shapes, "action_encoder.fc2", [width, 2 * width]);
    linear(&mut shapes, "spatial_proj", [width, numbers]);
    linear(&mut shapes, "flow_x_head", [numbers, width]);
    transformer(&mut shapes, "transformer", width);
    shapes
}
