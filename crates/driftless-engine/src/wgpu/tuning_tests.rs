use super::*;
use crate::testing::gpu;

fn products(shapes: &[MatmulShape]) -> BTreeMap<MatmulShape, usize> {
    shapes.iter().map(|shape| (*shape, 1)).collect()
}

#[test]
fn measurements_are_reused() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = TuningCache::at(&folder.path().join("new/matmul.json"));
    let shapes = products(&[[5, 7, 9], [20, 64, 32]]);
    let (kernels, no_limit) = (
        KernelPipelines::without_attention(&gpu),
        Duration::from_secs(60),
    );
    let (tuning, measured) = cache
        .read(&gpu)
        .measure(&gpu, &kernels, &shapes, no_limit)
        .unwrap();
    assert!(measured == 2 && tuning.best.keys().eq(shapes.keys()));
    cache.write(&gpu, &tuning).unwrap();
    assert_eq!(cache.read(&gpu), tuning);
    let (again, measured) = cache
        .read(&gpu)
        .measure(&gpu, &kernels, &shapes, no_limit)
        .unwrap();
    assert!(measured == 0 && again == tuning);
    // Precisions are measured separately.
    if let Ok(half) = gpu.clone().with_half() {
        assert_eq!(cache.read(&half), MatmulTuning::default());
        cache.write(&half, &MatmulTuning::default()).unwrap();
        assert_eq!(cache.read(&gpu), tuning);
    }
}

#[test]
fn defaults_apply_without_time() {
    let Some(gpu) = gpu() else { return };
    let shapes = products(&[[5, 7, 9]]);
    let kernels = KernelPipelines::without_attention(&gpu);
    let (tuning, measured) = MatmulTuning::default()
        .measure(&gpu, &kernels, &shapes, Duration::ZERO)
        .unwrap();
    assert_eq!((&tuning, measured), (&MatmulTuning::default(), 0));
    for (m, rows) in [(1, 16), (32, 16), (33, 64), (500, 64)] {
        assert_eq!(TILE_VARIANTS[tuning.choose([m, 64, 64])].rows, rows);
    }
}

#[test]
fn invalid_entries_are_ignored() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("matmul.json");
    let cache = TuningCache::at(&path);
    let entries = [
        r#""3x4x5": "32 1x1 16""#,
        r#""6x7x8": "99 1x1 16""#,
        r#""1x2": "32 1x1 16""#,
        r#""axbxc": "32 1x1 16""#,
    ];
    let name = serde_json::to_string(&gpu.tuning_key()).unwrap();
    std::fs::write(&path, format!("{{{name}: {{{}}}}}", entries.join(", "))).unwrap();
    let best = BTreeMap::from([([3, 4, 5], 2)]);
    assert_eq!(cache.read(&gpu), MatmulTuning { best });
    std::fs::write(&path, "{\"half").unwrap();
    assert_eq!(cache.read(&gpu), MatmulTuning::default());
    cache.write(&gpu, &MatmulTuning::default()).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with('{'));
}

#[test]
fn variants_respect_device_limits() {
    let any = wgpu::Limits::default();
    assert!(TILE_VARIANTS.iter().all(|variant| variant.fits(&any)));
    let small = wgpu::Limits {
        max_compute_invocations_per_workgroup: 64,
        max_compute_workgroup_storage_size: 6000,
        ..any
    };
    let fitting: Vec<_> = TILE_VARIANTS.iter().filter(|v| v.fits(&small)).collect();
    assert!(fitting.iter().all(|v| v.rows <= 32));
    assert!(fitting.contains(&&TILE_VARIANTS[1]));
}
