//! Frames as textures of the device that a window draws with.

use std::fmt;
use std::sync::Arc;

use wgpu::{
    BindGroup, Buffer, CommandEncoder, ComputePipeline, Device, Extent3d, Texture, TextureFormat,
    TextureUsages, TextureView, TextureViewDescriptor,
};

use super::gpu::Gpu;

/// Side of a workgroup's square of texels.
const SIDE: u32 = 8;

/// A frame on the device. It is painted over once nobody holds it any more.
pub struct Painting {
    device: Device,
    texture: Texture,
}

impl Painting {
    fn new(device: &Device, [height, width]: [u32; 2]) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("painting"),
            size: Extent3d {
                width,
                height,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: TextureFormat::Rgba8Unorm,
            usage: TextureUsages::STORAGE_BINDING
                | TextureUsages::TEXTURE_BINDING
                | TextureUsages::COPY_SRC,
            view_formats: &[TextureFormat::Rgba8UnormSrgb],
        });
        Self {
            device: device.clone(),
            texture,
        }
    }

    /// The frame for drawing on `device`, its bytes read as sRGB; none if it is on another one.
    pub fn view(&self, device: &Device) -> Option<TextureView> {
        (self.device == *device).then(|| self.srgb())
    }

    fn srgb(&self) -> TextureView {
        self.texture.create_view(&TextureViewDescriptor {
            label: Some("painting"),
            format: Some(TextureFormat::Rgba8UnormSrgb),
            usage: Some(TextureUsages::TEXTURE_BINDING),
            ..Default::default()
        })
    }

    /// The texture itself.
    pub fn texture(&self) -> &Texture {
        &self.texture
    }
}

impl fmt::Debug for Painting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.texture.size();
        write!(f, "Painting({}×{})", size.height, size.width)
    }
}

/// Paints the decoded frame.
pub(super) struct Painter {
    pipeline: ComputePipeline,
    size: [u32; 2],
    canvases: Vec<(Arc<Painting>, BindGroup)>,
}

impl Painter {
    /// For frames of this height and width at `image` in the arena.
    pub fn new(gpu: &Gpu, image: u32, size: [u32; 2]) -> Self {
        let device = &gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("paint"),
            source: wgpu::ShaderSource::Wgsl(include_str!("../../../../shaders/paint.wgsl").into()),
        });
        let [height, width] = size;
        let constants = [
            ("IMAGE", image),
            ("WIDTH", width),
            ("HEIGHT", height),
            ("SIDE", SIDE),
        ];
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("paint"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants.map(|(name, value)| (name, f64::from(value))),
                ..Default::default()
            },
            cache: None,
        });
        Self {
            pipeline,
            size,
            canvases: Vec::new(),
        }
    }

    /// Index of a canvas that nobody looks at.
    pub fn canvas(&mut self, gpu: &Gpu, arena: &Buffer) -> usize {
        let free = |(painting, _): &(Arc<Painting>, BindGroup)| Arc::strong_count(painting) == 1;
        self.canvases.iter().position(free).unwrap_or_else(|| {
            let painting = Painting::new(&gpu.device, self.size);
            let texture = painting.texture.create_view(&TextureViewDescriptor {
                usage: Some(TextureUsages::STORAGE_BINDING),
                ..Default::default()
            });
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("paint"),
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry {
                        binding: 0,
                        resource: arena.as_entire_binding(),
                    },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: wgpu::BindingResource::TextureView(&texture),
                    },
                ],
            });
            self.canvases.push((Arc::new(painting), bindings));
            self.canvases.len() - 1
        })
    }

    /// The painting on a canvas.
    pub fn painting(&self, canvas: usize) -> Arc<Painting> {
        Arc::clone(&self.canvases[canvas].0)
    }

    /// Paints over a canvas.
    pub fn encode(&self, canvas: usize, encoder: &mut CommandEncoder) {
        let [height, width] = self.size.map(|side| side.div_ceil(SIDE));
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.canvases[canvas].1, &[]);
        pass.dispatch_workgroups(width, height, 1);
    }
}
