//! Whole frames on the GPU: stage times, textures, snapshots, and lost devices.

use super::*;
use crate::testing::{clip, cpu_sampler, gpu, gpu_sampler, small_config, world};
use crate::tests::largest_difference;
use crate::{Error, Sampler, SamplerParams, Solver};

/// An engine of a small world, reset to a context.
fn reset_engine(gpu: &Gpu) -> Sampler {
    let config = small_config();
    let mut engine = gpu_sampler(&world(&config), gpu);
    let context = clip(&config, 2);
    engine.reset(&context, &SamplerParams::default()).unwrap();
    engine
}

#[test]
fn stage_times_are_measured() {
    let Some(gpu) = gpu() else { return };
    let times = reset_engine(&gpu)
        .step(0, &SamplerParams::default())
        .unwrap();
    assert!(times.denoise > Duration::ZERO);
    if StageTimer::new(&gpu).is_some() {
        assert!(times.cache > Duration::ZERO && times.decode > Duration::ZERO);
        assert!(times.denoise > times.cache);
    }
}

#[test]
fn lost_device_is_named() {
    let Some(gpu) = gpu() else { return };
    let mut engine = reset_engine(&gpu);
    engine.step(0, &SamplerParams::default()).unwrap();
    gpu.device.destroy();
    let error = engine.step(0, &SamplerParams::default()).unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&gpu.name) && text.contains("lost"), "{error}");
}

/// Reads a texture back as u8 RGB `[H, W, 3]`.
fn read_texture(gpu: &Gpu, texture: &FrameTexture) -> Vec<u8> {
    let size = texture.texture().size();
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
    encoder.copy_texture_to_buffer(texture.texture().as_image_copy(), to, size);
    let submission = gpu.queue.submit([encoder.finish()]);
    let mut bytes = vec![0; (row * size.height) as usize];
    gpu.read(&buffer, submission, &mut bytes).unwrap();
    let rows = bytes.chunks_exact(row as usize);
    let texels = rows.flat_map(|row| row[..4 * size.width as usize].chunks_exact(4));
    texels.flat_map(|texel| texel[..3].to_vec()).collect()
}

#[test]
fn device_frames_equal_host_frames() {
    let Some(mut gpu) = gpu() else { return };
    gpu.shared = true;
    let (mut on_device, mut on_host) = (reset_engine(&gpu), reset_engine(&gpu));
    on_device.set_keep_on_device(true);
    let params = |t: u64| SamplerParams {
        steps: 1 << (t % 3),
        seed: t,
        // One frame that runs pass by pass.
        solver: if t == 4 {
            Solver::Heun
        } else {
            Solver::Shortcut
        },
        ..SamplerParams::default()
    };
    let mut held = Vec::new();
    for t in 0..8 {
        on_device.step(1, &params(t)).unwrap();
        on_host.step(1, &params(t)).unwrap();
        assert!(on_host.frame_texture().is_none());
        match on_device.frame_texture() {
            Some(texture) => {
                let image = read_texture(&gpu, &texture);
                assert!(image == on_host.image().unwrap(), "frame {t}");
                held.push((texture, image));
            }
            None => assert_eq!(t, 4, "only the pass-by-pass frame has no texture"),
        }
        if t % 3 == 2 {
            assert_eq!(on_device.latent().unwrap(), on_host.latent().unwrap());
            assert_eq!(on_device.image().unwrap(), on_host.image().unwrap());
        }
    }
    assert_eq!(on_device.snapshot().unwrap(), on_host.snapshot().unwrap());
    // Held textures are not overwritten.
    for (texture, image) in &held {
        assert!(read_texture(&gpu, texture) == *image);
    }
    let bytes = |images: &[u8]| images.to_vec();
    let last = bytes(on_device.image().unwrap());
    on_device.encode(&last).unwrap();
    assert_eq!(
        on_device.image().unwrap(),
        last,
        "encoding must not change the image"
    );
}

#[test]
fn cpu_continues_gpu_snapshot() {
    let Some(gpu) = gpu() else { return };
    let mut engine = reset_engine(&gpu);
    let params = SamplerParams::default();
    for t in 0..5 {
        engine.step(t % 2, &params).unwrap();
    }
    let snapshot = engine.snapshot().unwrap();
    let mut cpu_engine = cpu_sampler(&world(&small_config()));
    cpu_engine.restore(&snapshot).unwrap();
    assert_eq!(cpu_engine.image().unwrap(), engine.image().unwrap());
    for t in 0..6 {
        engine.step(t % 2, &params).unwrap();
        cpu_engine.step(t % 2, &params).unwrap();
        let (gpu, cpu) = (engine.latent().unwrap(), cpu_engine.latent().unwrap());
        let difference = largest_difference(gpu, cpu);
        assert!(difference < 1e-3, "frame {t}: {difference}");
    }
}

#[test]
fn failed_allocation_leaves_device_usable() {
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
    reset_engine(&gpu)
        .step(0, &SamplerParams::default())
        .unwrap();
}

/// PSNR of two images in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255.0f64.powi(2) * a.len() as f64 / squares.sum::<f64>().max(1e-9)).log10()
}

#[test]
fn shipped_world_matches_cpu() {
    let Some(gpu) = gpu() else { return };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    let world = WorldModel::read(&folder, &candle_core::Device::Cpu).unwrap();
    let clips = folder.join(driftless_model::checkpoint::STARTING_CLIPS);
    let clips = driftless_model::starting_clips::read(&clips, &world.config).unwrap();
    let params = SamplerParams::default();
    let half = gpu.clone().with_half().ok();
    for (gpu, tolerance, min_psnr) in [(Some(gpu), 1e-3, 60.0), (half, 1e-3, 45.0)] {
        let Some(gpu) = gpu else { continue };
        let mut engine = gpu_sampler(&world, &gpu);
        let mut cpu_engine = cpu_sampler(&world);
        engine.reset(&clips[0], &params).unwrap();
        cpu_engine.reset(&clips[0], &params).unwrap();
        for t in 0..16 {
            engine.step(t / 4 % 3, &params).unwrap();
            cpu_engine.step(t / 4 % 3, &params).unwrap();
            if t == 0 {
                let (gpu, cpu) = (engine.latent().unwrap(), cpu_engine.latent().unwrap());
                let difference = largest_difference(gpu, cpu);
                assert!(difference < tolerance, "{difference}");
            }
        }
        let psnr = psnr(engine.image().unwrap(), cpu_engine.image().unwrap());
        assert!(psnr >= min_psnr, "{psnr} dB");
    }
}
