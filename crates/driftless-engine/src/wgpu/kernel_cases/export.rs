//! Cases as plain data, to run them through another compiler of WGSL.

use std::collections::BTreeMap;

use half::f16;
use serde::Serialize;

use super::super::kernels::{SourceOptions, source};
use super::super::program::ProgramBuilder;
use super::{HALF_TOLERANCE, KernelCase, TOLERANCE, matmul, norms, quick_cases};
use crate::Result;

/// A case of [`exported`]. Buffers are 32-bit words: floats by their bits, so that NaN survives JSON.
#[derive(Debug, Serialize)]
pub struct KernelCaseExport {
    name: String,
    /// WebGPU feature without which the case cannot run: `subgroups` or `shader-f16`.
    feature: Option<&'static str>,
    /// Largest allowed difference, as a share of the region's largest value.
    tolerance: f32,
    /// The buffers of bindings 0, 1, 2 and 4.
    weights: Vec<u32>,
    arena: Vec<u32>,
    frame: Vec<u32>,
    panels: Vec<u32>,
    /// In order; each sees the writes of those before it.
    dispatches: Vec<DispatchExport>,
    /// The rest of the arena must not change.
    expected: Vec<RegionExport>,
}

#[derive(Debug, Serialize)]
struct DispatchExport {
    wgsl: String,
    /// Values of the `override` constants.
    constants: BTreeMap<&'static str, f64>,
    /// The buffer of binding 3.
    args: Vec<u32>,
    groups: [u32; 2],
}

#[derive(Debug, Serialize)]
struct RegionExport {
    at: u32,
    values: Vec<u32>,
}

/// A few shapes of every kernel, in all variants: with and without subgroups, matrices in 32 and 16 bits.
///
/// # Errors
/// Returns an error if a kernel's WGSL lacks a constant that the engine sets.
pub fn exported() -> Result<Vec<KernelCaseExport>> {
    let plain = SourceOptions {
        head_size: 4,
        half: false,
        subgroups: false,
    };
    let with_subgroups = SourceOptions {
        subgroups: true,
        ..plain
    };
    let with_half = SourceOptions {
        half: true,
        ..plain
    };
    let plain = quick_cases().into_iter().map(|case| (case, plain));
    let norms = norms().into_iter();
    let products = matmul::quick_cases().into_iter();
    let cases = plain
        .chain(norms.map(|case| (case, with_subgroups)))
        .chain(products.map(|case| (case, with_half)));
    cases
        .map(|(case, options)| export(&case, options))
        .collect()
}

fn export(case: &KernelCase, options: SourceOptions) -> Result<KernelCaseExport> {
    let options = SourceOptions {
        head_size: case.head_size,
        ..options
    };
    let (feature, tolerance) = if options.half {
        (Some("shader-f16"), HALF_TOLERANCE)
    } else if options.subgroups {
        (Some("subgroups"), TOLERANCE)
    } else {
        (None, TOLERANCE)
    };
    let mut builder = ProgramBuilder::default();
    (case.record)(&mut builder);
    let dispatches = builder.dispatches().map(|(kernel, args, groups)| {
        Ok(DispatchExport {
            wgsl: source(kernel, options)?,
            constants: kernel.constants().into_iter().collect(),
            args: words(args),
            groups,
        })
    });
    let inputs = &case.inputs;
    let panels = inputs.weights.panels();
    Ok(KernelCaseExport {
        name: case.name.clone(),
        feature,
        tolerance,
        weights: bits(&inputs.weights.tables),
        arena: bits(&inputs.arena),
        frame: words(&inputs.frame_bytes()),
        panels: if options.half {
            let half: Vec<f16> = panels.iter().copied().map(f16::from_f32).collect();
            words(bytemuck::cast_slice(&half))
        } else {
            bits(panels)
        },
        dispatches: dispatches.collect::<Result<_>>()?,
        expected: case
            .expected
            .iter()
            .map(|region| RegionExport {
                at: region.at,
                values: bits(&region.values),
            })
            .collect(),
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytemuck::pod_collect_to_vec(bytes)
}
