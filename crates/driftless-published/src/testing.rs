//! Files with random weights, to measure speed with.

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};

/// Names and sides of tensors.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Adds the weight and the bias of a linear map.
pub fn linear(shapes: &mut Shapes, name: &str, [outputs, inputs]: [usize; 2]) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    shapes.insert(format!("{name}.bias"), vec![outputs]);
}

/// Writes tensors in half precision: uniform numbers whose variance is one over the number of inputs. Gains of norms
/// are near 1.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_random(path: &Path, shapes: &Shapes) -> Result<(), SafeTensorError> {
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
        let gain = name.contains("norm") && !name.ends_with("bias");
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
    safetensors::serialize_to_file(views?, None, path)
}
