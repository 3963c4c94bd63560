//! Writes both files of a checkpoint at the published widths with random weights, to measure speed with: 1.7 GB in half
//! precision.
//!
//! ```sh
//! cargo run --release -p driftless-oasis --example oasis_random -- FOLDER
//! ```

use std::path::Path;

use driftless_published::testing::{Shapes, linear, write_random};

const WIDTH: usize = 1024;
const HIDDEN: usize = 4 * WIDTH;
const CHANNELS: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    for (name, shapes) in [
        ("oasis500m.safetensors", transformer()),
        ("vit-l-20.safetensors", autoencoder()),
    ] {
        write_random(&Path::new(&folder).join(name), &shapes)?;
    }
    Ok(())
}

fn transformer() -> Shapes {
    let mut shapes = Shapes::new();
    shapes.insert("x_embedder.proj.weight".into(), vec![WIDTH, CHANNELS, 2, 2]);
    shapes.insert("x_embedder.proj.bias".into(), vec![WIDTH]);
    linear(&mut shapes, "t_embedder.mlp.0", [WIDTH, 256]);
    linear(&mut shapes, "t_embedder.mlp.2", [WIDTH, WIDTH]);
    linear(&mut shapes, "external_cond", [WIDTH, 25]);
    for block in 0..16 {
        for kind in ["s", "t"] {
            let part = |part: &str| format!("blocks.{block}.{kind}_{part}");
            shapes.insert(part("attn.to_qkv.weight"), vec![3 * WIDTH, WIDTH]);
            linear(&mut shapes, &part("attn.to_out"), [WIDTH, WIDTH]);
            linear(&mut shapes, &part("mlp.fc1"), [HIDDEN, WIDTH]);
            linear(&mut shapes, &part("mlp.fc2"), [WIDTH, HIDDEN]);
            linear(&mut shapes, &part("adaLN_modulation.1"), [6 * WIDTH, WIDTH]);
        }
    }
    linear(
        &mut shapes,
        "final_layer.adaLN_modulation.1",
        [2 * WIDTH, WIDTH],
    );
    linear(&mut shapes, "final_layer.linear", [4 * CHANNELS, WIDTH]);
    shapes
}

fn autoencoder() -> Shapes {
    let mut shapes = Shapes::new();
    shapes.insert("patch_embed.proj.weight".into(), vec![WIDTH, 3, 20, 20]);
    shapes.insert("patch_embed.proj.bias".into(), vec![WIDTH]);
    let norm = |shapes: &mut Shapes, name: &str| {
        shapes.insert(format!("{name}.weight"), vec![WIDTH]);
        shapes.insert(format!("{name}.bias"), vec![WIDTH]);
    };
    for (stack, depth, last) in [("encoder", 6, "enc_norm"), ("decoder", 12, "dec_norm")] {
        for block in 0..depth {
            let part = |part: &str| format!("{stack}.{block}.{part}");
            norm(&mut shapes, &part("norm1"));
            norm(&mut shapes, &part("norm2"));
            linear(&mut shapes, &part("attn.qkv"), [3 * WIDTH, WIDTH]);
            linear(&mut shapes, &part("attn.proj"), [WIDTH, WIDTH]);
            linear(&mut shapes, &part("mlp.fc1"), [HIDDEN, WIDTH]);
            linear(&mut shapes, &part("mlp.fc2"), [WIDTH, HIDDEN]);
        }
        norm(&mut shapes, last);
    }
    linear(&mut shapes, "quant_conv", [2 * CHANNELS, WIDTH]);
    linear(&mut shapes, "post_quant_conv", [WIDTH, CHANNELS]);
    linear(&mut shapes, "predictor", [1200, WIDTH]);
    shapes
}
