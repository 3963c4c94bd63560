use super::*;
use crate::testing::gpu;

fn products(shapes: &[Shape]) -> BTreeMap<Shape, usize> {
    shapes.iter().map(|shape| (*shape, 1)).collect()
}

#[test]
fn what_is_measured_is_kept_and_not_measured_again() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(&folder.path().join("new/matmul.json"));
    let shapes = products(&[[5, 7, 9], [20, 64, 32]]);
    let (kernels, long) = (Kernels::headless(&gpu), Duration::from_secs(60));
    let (tuning, measured) = cache
        .read(&gpu)
        .measure(&gpu, &kernels, &shapes, long)
        .unwrap();
    assert!(measured == 2 && tuning.best.keys().eq(shapes.keys()));
    cache.write(&gpu, &tuning).unwrap();
    assert_eq!(cache.read(&gpu), tuning);
    let (again, measured) = cache
        .read(&gpu)
        .measure(&gpu, &kernels, &shapes, long)
        .unwrap();
    assert!(measured == 0 && again == tuning);
    // Another precision is another measurement.
    if let Ok(half) = gpu.clone().with_half() {
        assert_eq!(cache.read(&half), Tuning::default());
        cache.write(&half, &Tuning::default()).unwrap();
        assert_eq!(cache.read(&gpu), tuning);
    }
}

#[test]
fn without_time_products_keep_their_plain_tiles() {
    let Some(gpu) = gpu() else { return };
    let shapes = products(&[[5, 7, 9]]);
    let kernels = Kernels::headless(&gpu);
    let (tuning, measured) = Tuning::default()
        .measure(&gpu, &kernels, &shapes, Duration::ZERO)
        .unwrap();
    assert_eq!((&tuning, measured), (&Tuning::default(), 0));
    for (m, rows) in [(1, 16), (32, 16), (33, 64), (500, 64)] {
        assert_eq!(VARIANTS[tuning.choose([m, 64, 64])].rows, rows);
    }
}

#[test]
fn a_broken_file_and_variants_that_are_not_known_are_passed_over() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("matmul.json");
    let cache = Cache::at(&path);
    let entries = [
        r#""3x4x5": "32 1x1 16""#,
        r#""6x7x8": "99 1x1 16""#,
        r#""1x2": "32 1x1 16""#,
        r#""axbxc": "32 1x1 16""#,
    ];
    let name = serde_json::to_string(&gpu.tuning_key()).unwrap();
    std::fs::write(&path, format!("{{{name}: {{{}}}}}", entries.join(", "))).unwrap();
    let best = BTreeMap::from([([3, 4, 5], 2)]);
    assert_eq!(cache.read(&gpu), Tuning { best });
    std::fs::write(&path, "{\"half").unwrap();
    assert_eq!(cache.read(&gpu), Tuning::default());
    cache.write(&gpu, &Tuning::default()).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with('{'));
}

#[test]
fn every_variant_fits_what_any_device_offers_and_less_leaves_some_out() {
    let any = wgpu::Limits::default();
    assert!(VARIANTS.iter().all(|variant| variant.fits(&any)));
    let small = wgpu::Limits {
        max_compute_invocations_per_workgroup: 64,
        max_compute_workgroup_storage_size: 6000,
        ..any
    };
    let fitting: Vec<_> = VARIANTS.iter().filter(|v| v.fits(&small)).collect();
    assert!(fitting.iter().all(|v| v.rows <= 32));
    assert!(fitting.contains(&&VARIANTS[1]));
}
