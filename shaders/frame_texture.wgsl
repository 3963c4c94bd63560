// Writes the decoded frame into the texture that the window draws: pixels in [-1, 1] become bytes, with
// the rounding of the tokenizer's `to_byte`. The values are sRGB-encoded; the window reads the texture
// through an sRGB view.

@group(0) @binding(0) var<storage, read> arena: array<f32>;
@group(0) @binding(1) var texture: texture_storage_2d<rgba8unorm, write>;

// Arena offset of the frame, [HEIGHT, WIDTH, 3].
override IMAGE: u32;
override WIDTH: u32;
override HEIGHT: u32;
override SIDE: u32 = 8u;

@compute @workgroup_size(SIDE, SIDE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= WIDTH || id.y >= HEIGHT {
        return;
    }
    let at = IMAGE + 3u * (id.y * WIDTH + id.x);
    let pixel = vec3<f32>(arena[at], arena[at + 1u], arena[at + 2u]);
    let byte = floor(clamp((pixel + 1.0) * 127.5, vec3<f32>(0.0), vec3<f32>(255.0)) + 0.5);
    textureStore(texture, id.xy, vec4<f32>(byte / 255.0, 1.0));
}
