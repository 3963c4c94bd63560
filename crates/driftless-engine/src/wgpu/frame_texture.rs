//! Frames as textures on the device that the window draws with.

use std::fmt;
use std::sync::Arc;

use wgpu::{
    BindGroup, Buffer, CommandEncoder, ComputePipeline, Device, Extent3d, Texture, TextureFormat,
    TextureUsages, TextureView, TextureViewDescriptor,
};

use super::gpu::Gpu;

/// Side of the square of texels that a workgroup writes.
const WORKGROUP_SIDE: u32 = 8;

/// A frame as a texture. The engine reuses it once no one else holds it.
pub struct FrameTexture {
    device: Device,
    texture: Texture,
}

impl FrameTexture {
    fn new(device: &Device, [height, width]: [u32; 2]) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("frame texture"),
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

    /// An sRGB view to draw with on `device`; `None` if the texture is on another device.
    pub fn view(&self, device: &Device) -> Option<TextureView> {
        (self.device == *device).then(|| self.srgb_view())
    }

    fn srgb_view(&self) -> TextureView {
        self.texture.create_view(&TextureViewDescriptor {
            label: Some("frame texture"),
            format: Some(TextureFormat::Rgba8UnormSrgb),
            usage: Some(TextureUsages::TEXTURE_BINDING),
            ..Default::default()
        })
    }

    /// The underlying texture.
    pub fn texture(&self) -> &Texture {
        &self.texture
    }
}

impl fmt::Debug for FrameTexture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.texture.size();
        write!(f, "FrameTexture({}×{})", size.height, size.width)
    }
}

/// Writes decoded frames into textures.
pub(super) struct TextureWriter {
    pipeline: ComputePipeline,
    /// Height and width.
    size: [u32; 2],
    /// All textures so far, with their bindings.
    textures: Vec<(Arc<FrameTexture>, BindGroup)>,
}

impl TextureWriter {
    /// For frames of `size` (height, width) at the arena offset `image`.
    pub fn new(gpu: &Gpu, image: u32, size: [u32; 2]) -> Self {
        let device = &gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("frame texture"),
            source: wgpu::ShaderSource::Wgsl(
                include_str!("../../../../shaders/frame_texture.wgsl").into(),
            ),
        });
        let [height, width] = size;
        let constants = [
            ("IMAGE", image),
            ("WIDTH", width),
            ("HEIGHT", height),
            ("SIDE", WORKGROUP_SIDE),
        ];
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("frame texture"),
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
            textures: Vec::new(),
        }
    }

    /// Index of a texture that no one else holds; creates one if necessary.
    pub fn free_texture(&mut self, gpu: &Gpu, arena: &Buffer) -> usize {
        let free = |(texture, _): &(Arc<FrameTexture>, BindGroup)| Arc::strong_count(texture) == 1;
        self.textures.iter().position(free).unwrap_or_else(|| {
            let frame = FrameTexture::new(&gpu.device, self.size);
            let view = frame.texture.create_view(&TextureViewDescriptor {
                usage: Some(TextureUsages::STORAGE_BINDING),
                ..Default::default()
            });
            let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("frame texture"),
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry {
                        binding: 0,
                        resource: arena.as_entire_binding(),
                    },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: wgpu::BindingResource::TextureView(&view),
                    },
                ],
            });
            self.textures.push((Arc::new(frame), bindings));
            self.textures.len() - 1
        })
    }

    /// The texture with an index.
    pub fn texture(&self, index: usize) -> Arc<FrameTexture> {
        Arc::clone(&self.textures[index].0)
    }

    /// Encodes writing the decoded frame into the texture with an index.
    pub fn encode(&self, index: usize, encoder: &mut CommandEncoder) {
        let [height, width] = self.size.map(|side| side.div_ceil(WORKGROUP_SIDE));
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.textures[index].1, &[]);
        pass.dispatch_workgroups(width, height, 1);
    }
}
