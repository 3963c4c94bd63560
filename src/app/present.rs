//! Draws the latest frame with `shaders/present.wgsl` inside egui's render pass.

use std::time::{Duration, Instant};

use eframe::egui_wgpu::{CallbackResources, CallbackTrait, ScreenDescriptor};
use eframe::{egui, egui_wgpu, wgpu};
use serde::{Deserialize, Serialize};

use driftless_engine::Gpu;

/// The filter that scales the frame to the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Nearest neighbour.
    Nearest,
    /// Flat texels with one blended pixel at each edge.
    #[default]
    Sharp,
    /// Smooth cubic interpolation.
    Smooth,
}

impl Scaling {
    /// Every filter, in display order.
    pub const ALL: [Self; 3] = [Self::Nearest, Self::Sharp, Self::Smooth];

    /// The filter's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nearest => "Nearest",
            Self::Sharp => "Sharp",
            Self::Smooth => "Smooth",
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::Nearest => 0,
            Self::Sharp => 1,
            Self::Smooth => 2,
        }
    }
}

/// The largest rectangle with the aspect ratio of `[height, width]` inside `space`, on whole pixels.
pub(super) fn fit(space: egui::Rect, size: [usize; 2], pixels_per_point: f32) -> egui::Rect {
    let [height, width] = size.map(|side| side.max(1) as f32);
    let scale = (space.width() / width).min(space.height() / height);
    let whole = |points: f32| (points * pixels_per_point + 0.01).floor() / pixels_per_point;
    let side = |length: f32| whole(length * scale).max(1.0 / pixels_per_point);
    let drawn = egui::vec2(side(width), side(height));
    let corner = space.center() - drawn / 2.0;
    let snapped = egui::pos2(whole(corner.x), whole(corner.y));
    egui::Rect::from_min_size(snapped, drawn)
}

/// The pipeline and texture, stored in egui's renderer.
pub(super) struct Presenter {
    pipeline: wgpu::RenderPipeline,
    /// Binds the texture that bytes are uploaded to.
    uploads: wgpu::BindGroup,
    /// Binds an engine's own texture, shown instead.
    painting: Option<wgpu::BindGroup>,
    sampler: wgpu::Sampler,
    uniforms: wgpu::Buffer,
    texture: wgpu::Texture,
    /// `[height, width]` in texels.
    size: [usize; 2],
    encode: bool,
    rgba: Vec<u8>,
    shown: Option<u64>,
}

const UNIFORM_BYTES: u64 = 24;

impl Presenter {
    pub fn new(device: &wgpu::Device, target: wgpu::TextureFormat, size: [usize; 2]) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("frame"),
            size: extent(size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8UnormSrgb,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("picture"),
            size: UNIFORM_BYTES,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let pipeline = pipeline(device, target);
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("frame"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Self {
            uploads: bind(device, &pipeline, &uniforms, &view, &sampler),
            painting: None,
            pipeline,
            sampler,
            uniforms,
            texture,
            size,
            encode: !target.is_srgb(),
            rgba: Vec::new(),
            shown: None,
        }
    }

    /// Switches to another frame.
    fn set_image(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        image: &driftless_sim::FrameImage,
    ) {
        match image {
            driftless_sim::FrameImage::Bytes(bytes) => {
                self.upload(queue, bytes);
                self.painting = None;
            }
            driftless_sim::FrameImage::Texture(painting) => {
                if let Some(view) = painting.view(device) {
                    let (pipeline, uniforms) = (&self.pipeline, &self.uniforms);
                    let bindings = bind(device, pipeline, uniforms, &view, &self.sampler);
                    self.painting = Some(bindings);
                }
            }
        }
    }

    /// Uploads u8 RGB `[H, W, 3]`; ignores images of another size.
    fn upload(&mut self, queue: &wgpu::Queue, image: &[u8]) {
        let [height, width] = self.size;
        if image.len() != height * width * 3 {
            return;
        }
        self.rgba.clear();
        for pixel in image.chunks_exact(3) {
            self.rgba.extend_from_slice(pixel);
            self.rgba.push(255);
        }
        queue.write_texture(
            self.texture.as_image_copy(),
            &self.rgba,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: u32::try_from(width * 4).ok(),
                rows_per_image: None,
            },
            extent(self.size),
        );
    }

    fn write_uniforms(&self, queue: &wgpu::Queue, pixels: [f32; 2], scaling: Scaling) {
        let [height, width] = self.size.map(|side| side as f32);
        let words = [
            width.to_ne_bytes(),
            height.to_ne_bytes(),
            pixels[0].to_ne_bytes(),
            pixels[1].to_ne_bytes(),
            scaling.code().to_ne_bytes(),
            u32::from(self.encode).to_ne_bytes(),
        ];
        queue.write_buffer(&self.uniforms, 0, words.as_flattened());
    }

    /// Draws to a whole texture view, outside egui.
    fn draw_alone(&self, encoder: &mut wgpu::CommandEncoder, view: &wgpu::TextureView) {
        self.draw(&mut encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })],
            ..Default::default()
        }));
    }

    fn draw(&self, pass: &mut wgpu::RenderPass<'_>) {
        pass.set_pipeline(&self.pipeline);
        let shown = self.painting.as_ref().unwrap_or(&self.uploads);
        pass.set_bind_group(0, shown, &[]);
        pass.draw(0..3, 0..1);
    }
}

/// The pipeline that draws to a target of this format.
fn pipeline(device: &wgpu::Device, target: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("present"),
        source: wgpu::ShaderSource::Wgsl(include_str!("../../shaders/present.wgsl").into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("present"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(target.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

fn extent([height, width]: [usize; 2]) -> wgpu::Extent3d {
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    wgpu::Extent3d {
        width: side(width),
        height: side(height),
        depth_or_array_layers: 1,
    }
}

fn bind(
    device: &wgpu::Device,
    pipeline: &wgpu::RenderPipeline,
    uniforms: &wgpu::Buffer,
    view: &wgpu::TextureView,
    sampler: &wgpu::Sampler,
) -> wgpu::BindGroup {
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("present"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry {
                binding: 0,
                resource: uniforms.as_entire_binding(),
            },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: wgpu::BindingResource::TextureView(view),
            },
            wgpu::BindGroupEntry {
                binding: 2,
                resource: wgpu::BindingResource::Sampler(sampler),
            },
        ],
    })
}

/// Measures how long it takes to show each of several u8 RGB frames `[H, W, 3]`: upload, scale to an
/// offscreen target of `side`² pixels, and wait for the GPU.
///
/// # Errors
/// Returns an error if the device is lost while waiting.
pub fn drawing_times(
    gpu: &Gpu,
    images: &[u8],
    size: [usize; 2],
    side: u32,
) -> crate::Result<Vec<Duration>> {
    let (device, queue) = gpu.device_and_queue();
    let format = wgpu::TextureFormat::Rgba8UnormSrgb;
    let mut presenter = Presenter::new(device, format, size);
    let target = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("offscreen"),
        size: extent([side as usize; 2]),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    let show = |image: &[u8]| {
        let started = Instant::now();
        presenter.upload(queue, image);
        presenter.write_uniforms(queue, [side as f32; 2], Scaling::default());
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        presenter.draw_alone(&mut encoder, &view);
        gpu.wait(queue.submit([encoder.finish()]))?;
        Ok(started.elapsed())
    };
    images
        .chunks_exact(size[0] * size[1] * 3)
        .map(show)
        .collect()
}

/// A paint callback that draws one frame.
pub(super) struct FrameCallback {
    pub image: driftless_sim::FrameImage,
    /// Changes with every new image, so that each is uploaded once.
    pub id: u64,
    /// Physical width and height of the rectangle.
    pub pixels: [f32; 2],
    pub scaling: Scaling,
}

impl CallbackTrait for FrameCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(presenter) = resources.get_mut::<Presenter>() {
            if presenter.shown != Some(self.id) {
                presenter.set_image(device, queue, &self.image);
                presenter.shown = Some(self.id);
            }
            presenter.write_uniforms(queue, self.pixels, self.scaling);
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(presenter) = resources.get::<Presenter>() {
            presenter.draw(pass);
        }
    }
}

/// The frame as a shape that fills `rect`.
pub(super) fn shape(rect: egui::Rect, picture: FrameCallback) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(rect, picture).into()
}

#[cfg(test)]
#[path = "present_tests.rs"]
mod tests;
