// What every kernel of the engine sees: weights, the values of the present frame, and where this
// dispatch finds its rows. The arena of activations is in numbers.wgsl or vectors.wgsl.

// Where rows of numbers lie in the arena or among the weights: element i of row r is at
//   offset + (r / run) * outer + (r % run) * inner + (i / segment) * stride + i % segment,
// so a 3x3 neighbourhood, a patch of an image or a token of merged cells is read in place.
struct Rows {
    offset: u32,
    run: u32,
    outer: u32,
    inner: u32,
    segment: u32,
    stride: u32,
    unused: vec2<u32>,
};

// One pass over a frame.
struct Pass {
    // Signal level.
    tau: f32,
    // Shares of z and of the prediction in the next z.
    keep: f32,
    take: f32,
    // Index of the step size's embedding.
    step: u32,
};

struct Frame {
    action: u32,
    // Ring slot of this frame, slots of the ring, and earlier frames that are seen.
    slot: u32,
    slots: u32,
    seen: u32,
    seed: vec2<u32>,
    number: vec2<u32>,
    // Factor of the starting noise.
    temperature: f32,
    // Shares of the clean latent and of noise in what the context keeps.
    alpha: f32,
    sigma: f32,
    unused: u32,
    passes: array<Pass>,
};

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> frame: Frame;
// Not a uniform: lavapipe would compile some kernels anew for each one.
@group(0) @binding(3) var<storage, read> op: Op;

fn row_start(rows: Rows, r: u32) -> u32 {
    return rows.offset + (r / rows.run) * rows.outer + (r % rows.run) * rows.inner;
}

fn along(rows: Rows, i: u32) -> u32 {
    return (i / rows.segment) * rows.stride + i % rows.segment;
}

fn weight(i: u32) -> f32 {
    return weights[i >> 2u][i & 3u];
}

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(-x));
}
