//! Every kernel against a plain loop, over odd shapes. Outputs hold NaN before the run, and everything a
//! kernel must not write is compared afterwards.

use super::kernel_cases::{
    CaseInputs, ExpectedRegion, HALF_TOLERANCE, KernelCase, TOLERANCE, all_cases, matmul,
    quick_cases,
};
use super::kernels::{Kernel, KernelPipelines};
use super::operations::CellBlock;
use super::*;
use crate::testing::gpu;

fn check(gpu: &Gpu, tolerance: f32, cases: &[KernelCase]) {
    for case in cases {
        let kernels = KernelPipelines::new(gpu, case.head_size);
        let after = case.run(gpu, &kernels).unwrap();
        match case.compare(&after) {
            Ok(off) => assert!(off <= tolerance, "{}: differs by {off}", case.name),
            Err(what) => panic!("{}: {what}", case.name),
        }
    }
}

#[test]
fn kernels_match_reference() {
    let Some(mut gpu) = gpu() else { return };
    gpu.subgroups = false;
    check(&gpu, TOLERANCE, &all_cases());
}

#[test]
fn subgroups_match_reference() {
    let Some(gpu) = gpu() else { return };
    if gpu.subgroups {
        check(&gpu, TOLERANCE, &quick_cases());
    }
}

/// Also those that `devices --self-test` and a browser run.
#[test]
fn every_kernel_has_a_case() {
    let mut run = Vec::new();
    for case in quick_cases() {
        let mut builder = ProgramBuilder::default();
        (case.record)(&mut builder);
        run.extend(builder.dispatches().map(|(kernel, ..)| kernel));
    }
    for kernel in Kernel::all() {
        assert!(run.contains(&kernel), "{kernel:?}");
    }
}

#[test]
fn half_matmul_matches_reference() {
    let Some(gpu) = gpu() else { return };
    let Ok(half) = gpu.with_half() else { return };
    check(&half, HALF_TOLERANCE, &matmul::all_cases());
}

#[test]
fn cell_block_matches_model() {
    let Some(gpu) = gpu() else { return };
    for (seed, (grid, width)) in [([4usize, 6usize], 10usize), ([8, 8], 64)]
        .into_iter()
        .enumerate()
    {
        let device = candle_core::Device::Cpu;
        let params = driftless_model::params::Params::seeded(seed as u64, &device);
        let net = driftless_model::layers::CellBlock::new(&params, "b", width).unwrap();
        let mut t = CaseInputs::new(seed as u64);
        let exported = driftless_model::export::ExportedCellBlock::new(&net).unwrap();
        let block = CellBlock::new(&mut t.weights, &exported);
        let cells = grid[0] * grid[1];
        let (x_at, x) = t.random_region(cells * width);
        let hidden = t.nan_region(cells * width);
        let padded_len = (grid[0] + 2) * (grid[1] + 2) * width;
        let padded_cells = t.region_of(&vec![0.0; padded_len]);
        let shape = (1, grid[0], grid[1], width);
        let expected = candle_core::Tensor::from_vec(x, shape, &device).unwrap();
        let expected = net.forward(&expected).unwrap().flatten_all().unwrap();
        let size = grid.map(|side| side as u32);
        let expected = ExpectedRegion {
            at: x_at,
            values: expected.to_vec1().unwrap(),
        };
        let case = t.case("block".to_owned(), 8, vec![expected], move |r| {
            r.cell_block(&block, size, x_at, padded_cells, hidden);
        });
        let mut after = case.run(&gpu, &KernelPipelines::new(&gpu, 8)).unwrap();
        // What the block may use as scratch.
        let scratch = hidden as usize..padded_cells as usize + padded_len;
        after[scratch.clone()].copy_from_slice(&case.inputs.arena[scratch]);
        let off = case.compare(&after).unwrap();
        assert!(off <= TOLERANCE, "differs by {off}");
    }
}

#[test]
fn wrong_results_are_found() {
    let Some(gpu) = gpu() else { return };
    let case = &all_cases()[0];
    let kernels = KernelPipelines::new(&gpu, case.head_size);
    let after = case.run(&gpu, &kernels).unwrap();
    let y = case.expected[0].at as usize;
    let changed = |at: usize, value: f32| {
        let mut after = after.clone();
        after[at] = value;
        case.compare(&after)
    };
    assert!(changed(y, after[y] * 1.01).unwrap() > TOLERANCE);
    let nan = changed(y, f32::NAN).unwrap_err();
    assert!(nan.contains("element 0 is NaN"), "{nan}");
    let outside = changed(0, 7.0).unwrap_err();
    assert!(outside.contains("wrote to 0"), "{outside}");
}

#[test]
fn adapters_are_checked_in_all_variants() {
    let Some(gpu) = gpu() else { return };
    let mut checks = Vec::new();
    gpu.check_kernels(&mut |check| checks.push(check)).unwrap();
    for check in &checks {
        assert!(check.passed(), "{check:?}");
    }
    let any = |text: &str| checks.iter().any(|check| check.name.contains(text));
    assert_eq!(any("subgroups"), gpu.subgroups);
    assert_eq!(any("f16"), gpu.with_half().is_ok());
    for kernel in [
        "norm",
        "conditioning",
        "affine",
        "noise",
        "end of",
        "spatial",
        "product",
    ] {
        assert!(any(kernel), "{kernel}");
    }
}

#[test]
fn exported_cases_hold_whole_shaders() {
    let cases = serde_json::to_value(kernel_cases::exported().unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    let features: std::collections::BTreeSet<_> =
        cases.iter().map(|case| case["feature"].as_str()).collect();
    assert_eq!(
        features,
        [None, Some("shader-f16"), Some("subgroups")].into()
    );
    for case in cases {
        for dispatch in case["dispatches"].as_array().unwrap() {
            let text = dispatch["wgsl"].as_str().unwrap();
            naga::front::wgsl::parse_str(text).unwrap();
            assert_eq!(dispatch["args"].as_array().unwrap().len(), 64);
        }
    }
}

#[test]
fn oversized_buffer_error_gives_the_size() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.storage("weights", usize::MAX / 8).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("weights") && text.contains("bytes"), "{text}");
}
