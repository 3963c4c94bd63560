// The arena number by number, for kernels whose threads write numbers side by side: to write a part of
// a vector may be to write all of it.

@group(0) @binding(1) var<storage, read_write> arena: array<f32>;

fn load(i: u32) -> f32 {
    return arena[i];
}

fn store(i: u32, value: f32) {
    arena[i] = value;
}
