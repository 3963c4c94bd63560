// The arena as scalars, for kernels whose threads write neighbouring elements: writing one component of a
// vec4 may write all four.

@group(0) @binding(1) var<storage, read_write> arena: array<f32>;

fn load(i: u32) -> f32 {
    return arena[i];
}

fn store(i: u32, value: f32) {
    arena[i] = value;
}
