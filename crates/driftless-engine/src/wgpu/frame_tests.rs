//! Whole frames of the engine: their clock, their pictures, and what is left of a lost device.

use super::*;
use crate::Error;
use crate::testing::{clip, gpu, plain, world};
use crate::tests::largest_difference;
use crate::{CpuEngine, Engine, SamplerParams, Solver};

/// An engine of a small world after its context.
fn started(gpu: &Gpu) -> WgpuEngine {
    let config = plain();
    let mut engine = WgpuEngine::new(&world(&config), gpu).unwrap();
    let context = clip(&config, 2);
    engine.reset(&context, &SamplerParams::default()).unwrap();
    engine
}

#[test]
fn the_devices_own_clock_tells_the_stages_apart() {
    let Some(gpu) = gpu() else { return };
    let times = started(&gpu).step(0, &SamplerParams::default()).unwrap();
    assert!(times.denoise > Duration::ZERO);
    if Clock::new(&gpu).is_some() {
        assert!(times.cache > Duration::ZERO && times.decode > Duration::ZERO);
        assert!(times.denoise > times.cache);
    }
}

#[test]
fn a_failure_of_the_device_is_an_error_and_names_it() {
    let Some(gpu) = gpu() else { return };
    let mut engine = started(&gpu);
    engine.step(0, &SamplerParams::default()).unwrap();
    gpu.device.destroy();
    let error = engine.step(0, &SamplerParams::default()).unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&gpu.name) && text.contains("lost"), "{error}");
}

/// The bytes of a painting, u8 RGB `[H, W, 3]`.
fn look(gpu: &Gpu, painting: &Painting) -> Vec<u8> {
    let size = painting.texture().size();
    let row = (4 * size.width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row * size.height),
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu
        .device
        .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let to = wgpu::TexelCopyBufferInfo {
        buffer: &buffer,
        layout: wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(row),
            rows_per_image: None,
        },
    };
    encoder.copy_texture_to_buffer(painting.texture().as_image_copy(), to, size);
    let submission = gpu.queue.submit([encoder.finish()]);
    let mut bytes = vec![0; (row * size.height) as usize];
    gpu.read(&buffer, submission, &mut bytes).unwrap();
    let rows = bytes.chunks_exact(row as usize);
    let texels = rows.flat_map(|row| row[..4 * size.width as usize].chunks_exact(4));
    texels.flat_map(|texel| texel[..3].to_vec()).collect()
}

#[test]
fn frames_that_stay_on_the_device_are_those_that_come_back() {
    let Some(mut gpu) = gpu() else { return };
    gpu.shared = true;
    let (mut stays, mut comes) = (started(&gpu), started(&gpu));
    stays.stay(true);
    let params = |t: u64| SamplerParams {
        steps: 1 << (t % 3),
        seed: t,
        // A frame that goes pass by pass, in between.
        solver: if t == 4 {
            Solver::Heun
        } else {
            Solver::Shortcut
        },
        ..SamplerParams::default()
    };
    let mut held = Vec::new();
    for t in 0..8 {
        stays.step(1, &params(t)).unwrap();
        comes.step(1, &params(t)).unwrap();
        assert!(comes.painting().is_none());
        match stays.painting() {
            Some(painting) => {
                let picture = look(&gpu, &painting);
                assert!(picture == comes.image().unwrap(), "frame {t}");
                held.push((painting, picture));
            }
            None => assert_eq!(t, 4, "only a frame that goes pass by pass comes back"),
        }
        if t % 3 == 2 {
            assert_eq!(stays.latent().unwrap(), comes.latent().unwrap());
            assert_eq!(stays.image().unwrap(), comes.image().unwrap());
        }
    }
    assert_eq!(stays.snapshot().unwrap(), comes.snapshot().unwrap());
    // A painting that somebody holds is not painted over.
    for (painting, picture) in &held {
        assert!(look(&gpu, painting) == *picture);
    }
    let bytes = |images: &[u8]| images.to_vec();
    let last = bytes(stays.image().unwrap());
    stays.encode(&last).unwrap();
    assert_eq!(stays.image().unwrap(), last, "encoding leaves the picture");
}

#[test]
fn the_processor_goes_on_from_a_snapshot_of_the_gpu() {
    let Some(gpu) = gpu() else { return };
    let mut engine = started(&gpu);
    let params = SamplerParams::default();
    for t in 0..5 {
        engine.step(t % 2, &params).unwrap();
    }
    let snapshot = engine.snapshot().unwrap();
    let mut processor = CpuEngine::new(&world(&plain())).unwrap();
    processor.restore(&snapshot).unwrap();
    assert_eq!(processor.image().unwrap(), engine.image().unwrap());
    for t in 0..6 {
        engine.step(t % 2, &params).unwrap();
        processor.step(t % 2, &params).unwrap();
        let (gpu, cpu) = (engine.latent().unwrap(), processor.latent().unwrap());
        let difference = largest_difference(gpu, cpu);
        assert!(difference < 1e-3, "frame {t}: {difference}");
    }
}

#[test]
fn a_world_that_does_not_fit_leaves_the_device_to_others() {
    let Some(gpu) = gpu() else { return };
    let refused = gpu.scoped(|| {
        Ok(gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("too large"),
            size: 1 << 52,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        }))
    });
    assert!(matches!(refused, Err(Error::Device(_))), "{refused:?}");
    started(&gpu).step(0, &SamplerParams::default()).unwrap();
}

/// PSNR of two pictures in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255.0f64.powi(2) * a.len() as f64 / squares.sum::<f64>().max(1e-9)).log10()
}

#[test]
fn the_shipped_world_is_nearly_the_processors_for_sixteen_frames_in_32_and_in_16_bits() {
    let Some(gpu) = gpu() else { return };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    let world = World::read(&folder, &candle_core::Device::Cpu).unwrap();
    let contexts = folder.join(driftless_model::checkpoint::CONTEXTS);
    let contexts = driftless_model::contexts::read(&contexts, &world.config).unwrap();
    let params = SamplerParams::default();
    let half = gpu.clone().with_half().ok();
    for (gpu, off, alike) in [(Some(gpu), 1e-3, 60.0), (half, 1e-3, 45.0)] {
        let Some(gpu) = gpu else { continue };
        let mut engine = WgpuEngine::new(&world, &gpu).unwrap();
        let mut processor = CpuEngine::new(&world).unwrap();
        engine.reset(&contexts[0], &params).unwrap();
        processor.reset(&contexts[0], &params).unwrap();
        for t in 0..16 {
            engine.step(t / 4 % 3, &params).unwrap();
            processor.step(t / 4 % 3, &params).unwrap();
            if t == 0 {
                let (gpu, cpu) = (engine.latent().unwrap(), processor.latent().unwrap());
                let difference = largest_difference(gpu, cpu);
                assert!(difference < off, "{difference}");
            }
        }
        let same = psnr(engine.image().unwrap(), processor.image().unwrap());
        assert!(same >= alike, "{same} dB");
    }
}
