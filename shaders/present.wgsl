// Draws the frame into its rectangle of the window, scaled to any size.
//
// The texture has an sRGB format, so all filtering happens in linear light.

struct Viewport {
    // Size of the frame in texels.
    size: vec2<f32>,
    // Size of the rectangle in physical pixels.
    pixels: vec2<f32>,
    // 0 nearest, 1 sharp bilinear, 2 smooth (Mitchell-Netravali).
    scaling: u32,
    // 1 if the target does not convert to sRGB by itself.
    encode: u32,
};

@group(0) @binding(0) var<uniform> viewport: Viewport;
@group(0) @binding(1) var frame: texture_2d<f32>;
@group(0) @binding(2) var bilinear: sampler;

struct VertexOutput {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
};

// One triangle that covers the viewport, which is the rectangle.
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> VertexOutput {
    let uv = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    var out: VertexOutput;
    out.position = vec4<f32>(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, 0.0, 1.0);
    out.uv = uv;
    return out;
}

fn texel(at: vec2<i32>) -> vec3<f32> {
    let last = vec2<i32>(viewport.size) - vec2<i32>(1, 1);
    return textureLoad(frame, clamp(at, vec2<i32>(0, 0), last), 0).rgb;
}

fn nearest(at: vec2<f32>) -> vec3<f32> {
    return texel(vec2<i32>(floor(at)));
}

// Texels stay flat squares; only the pixel on a seam is blended.
fn sharp(at: vec2<f32>) -> vec3<f32> {
    let scale = max(viewport.pixels / viewport.size, vec2<f32>(1.0, 1.0));
    let flat_half = 0.5 - 0.5 / scale;
    let from_centre = fract(at) - 0.5;
    let seam = (from_centre - clamp(from_centre, -flat_half, flat_half)) * scale + 0.5;
    return textureSampleLevel(frame, bilinear, (floor(at) + seam) / viewport.size, 0.0).rgb;
}

// Mitchell-Netravali weights (B = C = 1/3) of the four texels around a point.
fn mitchell(t: f32) -> vec4<f32> {
    let t2 = t * t;
    let t3 = t2 * t;
    return vec4<f32>(
        -7.0 * t3 + 15.0 * t2 - 9.0 * t + 1.0,
        21.0 * t3 - 36.0 * t2 + 16.0,
        -21.0 * t3 + 27.0 * t2 + 9.0 * t + 1.0,
        7.0 * t3 - 6.0 * t2,
    ) / 18.0;
}

fn smooth_cubic(at: vec2<f32>) -> vec3<f32> {
    let corner = floor(at - 0.5);
    let part = at - 0.5 - corner;
    let wx = mitchell(part.x);
    let wy = mitchell(part.y);
    var sum = vec3<f32>(0.0);
    for (var y = 0; y < 4; y++) {
        for (var x = 0; x < 4; x++) {
            sum += wx[x] * wy[y] * texel(vec2<i32>(corner) + vec2<i32>(x - 1, y - 1));
        }
    }
    return clamp(sum, vec3<f32>(0.0), vec3<f32>(1.0));
}

fn srgb_encode(linear: vec3<f32>) -> vec3<f32> {
    let low = linear * 12.92;
    let high = 1.055 * pow(linear, vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(high, low, linear < vec3<f32>(0.0031308));
}

@fragment
fn fragment(input: VertexOutput) -> @location(0) vec4<f32> {
    let at = input.uv * viewport.size;
    var colour: vec3<f32>;
    switch viewport.scaling {
        case 0u: { colour = nearest(at); }
        case 1u: { colour = sharp(at); }
        default: { colour = smooth_cubic(at); }
    }
    if viewport.encode == 1u {
        colour = srgb_encode(colour);
    }
    return vec4<f32>(colour, 1.0);
}
