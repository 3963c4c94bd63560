//! Tests of the shader on any available adapter.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::app::tests::has_adapter;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
    if !has_adapter() {
        return None;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options = wgpu::RequestAdapterOptions::default();
    let adapter = block_on(instance.request_adapter(&options)).unwrap();
    Some(block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap())
}

/// Draws a frame `[height, width]` into a square of 64 pixels and reads RGBA back.
fn draw(
    image: &[u8],
    size: [usize; 2],
    scaling: Scaling,
    format: wgpu::TextureFormat,
) -> Option<Vec<u8>> {
    const SIDE: u32 = 64;
    let (device, queue) = device()?;
    let mut presenter = Presenter::new(&device, format, size);
    presenter.upload(&queue, image);
    presenter.write_uniforms(&queue, [SIDE as f32; 2], scaling);
    let target = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: extent([SIDE as usize; 2]),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let back = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(SIDE * SIDE * 4),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    presenter.draw_alone(&mut encoder, &view);
    encoder.copy_texture_to_buffer(
        target.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &back,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(SIDE * 4),
                rows_per_image: None,
            },
        },
        extent([SIDE as usize; 2]),
    );
    queue.submit([encoder.finish()]);
    back.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    Some(back.get_mapped_range(..).unwrap().to_vec())
}

fn rgb(pixels: &[u8], x: usize, y: usize) -> [u8; 3] {
    let at = (y * 64 + x) * 4;
    [pixels[at], pixels[at + 1], pixels[at + 2]]
}

/// Contains every byte value, so that off-by-one colours are detected.
fn ramp() -> Vec<u8> {
    (0..16 * 16_usize)
        .flat_map(|i| [i as u8, 255 - i as u8, (i * 7 % 256) as u8])
        .collect()
}

#[test]
fn colours_are_exact() {
    for format in [
        wgpu::TextureFormat::Rgba8Unorm,
        wgpu::TextureFormat::Rgba8UnormSrgb,
    ] {
        for scaling in [Scaling::Nearest, Scaling::Sharp] {
            let Some(pixels) = draw(&ramp(), [16, 16], scaling, format) else {
                return;
            };
            for (i, colour) in ramp().chunks(3).enumerate() {
                let (x, y) = (i % 16 * 4 + 2, i / 16 * 4 + 2);
                let shown = rgb(&pixels, x, y);
                let off = shown.iter().zip(colour).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(
                    off <= Some(1),
                    "{scaling:?} {format:?} {i}: {shown:?} for {colour:?}"
                );
            }
        }
    }
}

#[test]
fn image_is_upright() {
    // Red top left, green top right, blue bottom left, white bottom right.
    let image = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255];
    for scaling in Scaling::ALL {
        let Some(pixels) = draw(&image, [2, 2], scaling, wgpu::TextureFormat::Rgba8Unorm) else {
            return;
        };
        assert_eq!(rgb(&pixels, 0, 0), [255, 0, 0], "{scaling:?}");
        assert_eq!(rgb(&pixels, 63, 0), [0, 255, 0], "{scaling:?}");
        assert_eq!(rgb(&pixels, 0, 63), [0, 0, 255], "{scaling:?}");
        assert_eq!(rgb(&pixels, 63, 63), [255, 255, 255], "{scaling:?}");
    }
}

#[test]
fn sharp_blends_only_edges() {
    let image = [
        0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255,
    ];
    let greys = |scaling| {
        let pixels = draw(&image, [3, 2], scaling, wgpu::TextureFormat::Rgba8Unorm)?;
        let blended = (0..64).filter(|x| !matches!(rgb(&pixels, *x, 32)[0], 0 | 255));
        Some(blended.count())
    };
    let Some(nearest) = greys(Scaling::Nearest) else {
        return;
    };
    assert_eq!(nearest, 0);
    assert!(greys(Scaling::Sharp).unwrap() <= 2);
    assert!(greys(Scaling::Smooth).unwrap() > 16);
}

#[test]
fn fit_keeps_aspect_and_whole_pixels() {
    for (corner, pixels_per_point) in [(0.0, 1.0), (10.0, 1.0), (20.0, 1.25), (15.0, 2.0)] {
        let space = egui::Rect::from_min_size(egui::pos2(corner, corner), egui::vec2(450.0, 301.0));
        let drawn = fit(space, [64, 96], pixels_per_point);
        assert!((drawn.width() / drawn.height() - 1.5).abs() < 0.01);
        assert!((drawn.center() - space.center()).length() < 1.5);
        assert!(
            space.expand(1e-3).contains_rect(drawn),
            "{drawn:?} in {space:?}"
        );
        for edge in [drawn.left(), drawn.top(), drawn.right(), drawn.bottom()] {
            let pixel = edge * pixels_per_point;
            assert!((pixel - pixel.round()).abs() < 1e-2, "{pixel}");
        }
    }
}
