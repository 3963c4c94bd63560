// Bindings of every engine kernel: weights, parameters of the current frame, and arguments of the
// dispatch. The arena of activations is declared in arena_scalar.wgsl or arena_vec4.wgsl.

// Where rows lie in the arena. Element i of row r is at
//   offset + (r / run) * outer + (r % run) * inner + (i / segment) * stride + i % segment,
// so 3x3 neighbourhoods, image patches and merged cells are read in place.
struct RowLayout {
    offset: u32,
    run: u32,
    outer: u32,
    inner: u32,
    segment: u32,
    stride: u32,
    unused: vec2<u32>,
};

// One network pass over a frame.
struct Pass {
    // Signal level of the input.
    tau: f32,
    // Coefficients of z and of the network's output in the next z.
    z_scale: f32,
    output_scale: f32,
    // Row of the step size embedding.
    step_index: u32,
};

struct Frame {
    action: u32,
    // KV cache slot of this frame, number of slots, and earlier frames that attention sees.
    slot: u32,
    slots: u32,
    attended_frames: u32,
    // Low and high words of the seed and of the frame number.
    seed: vec2<u32>,
    number: vec2<u32>,
    // Scale of the initial noise.
    temperature: f32,
    // Coefficients of the clean latent and of the noise in the context latent.
    alpha: f32,
    sigma: f32,
    // Tokens of the frames that a memory recalls for this frame.
    memory_tokens: u32,
    // 1 if delta states are read, else 0.
    reads_state: u32,
    unused: u32,
    // Axes of the action; 0 for those that the world does not have.
    axes: array<f32, 16>,
    passes: array<Pass>,
};

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> frame: Frame;
// Not a uniform: lavapipe would recompile some kernels for each dispatch.
@group(0) @binding(3) var<storage, read> args: Args;

fn row_start(rows: RowLayout, r: u32) -> u32 {
    return rows.offset + (r / rows.run) * rows.outer + (r % rows.run) * rows.inner;
}

fn column_offset(rows: RowLayout, i: u32) -> u32 {
    return (i / rows.segment) * rows.stride + i % rows.segment;
}

fn weight(i: u32) -> f32 {
    return weights[i >> 2u][i & 3u];
}

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(-x));
}
