//! Writes both files of a checkpoint at the published widths with random weights, to measure speed with: 1.7 GB in half
//! precision.
//!
//! ```sh
//! cargo run --release -p driftless-oasis --example oasis_random -- FOLDER
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const WIDTH: usize = 1024;
const HIDDEN: usize = 4 * WIDTH;
const CHANNELS: usize = 16;

/// Names and sides.
type Shapes = BTreeMap<String, Vec<usize>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("expected a folder")?;
    std::fs::create_dir_all(&folder)?;
    for (name, shapes) in [
        ("oasis500m.safetensors", transformer()),
        ("vit-l-20.safetensors", autoencoder()),
    ] {
        write(&Path::new(&folder).join(name), &shapes)?;
    }
    Ok(())
}

fn linear(shapes: &mut Shapes, name: &str, [outputs, inputs]: [usize; 2]) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    shapes.insert(format!("{name}.bias"), vec![outputs]);
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

/// Uniform numbers whose variance is one over the number of inputs; gains are near 1.
fn write(path: &Path, shapes: &Shapes) -> Result<(), Box<dyn std::error::Error>> {
    let mut state = 1_u64;
    let mut uniform = || {
        // Knuth's MMIX generator; its high bits are good enough here.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut tensors = Vec::new();
    for (name, shape) in shapes {
        let gain = name.contains("norm") && name.ends_with("weight");
        let inputs: usize = shape[1..].iter().product();
        let scale = if shape.len() > 1 {
            (3.0 / inputs as f32).sqrt()
        } else {
            0.05
        };
        let middle = if gain { 1.0 } else { 0.0 };
        let values = (0..shape.iter().product()).map(|_| middle + scale * uniform());
        let bytes: Vec<u8> = values
            .flat_map(|value| f16::from_f32(value).to_le_bytes())
            .collect();
        tensors.push((name, shape, bytes));
    }
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F16, shape.to_vec(), bytes).map(|view| (name, view))
        })
        .collect();
    safetensors::serialize_to_file(views?, None, path)?;
    Ok(())
}
