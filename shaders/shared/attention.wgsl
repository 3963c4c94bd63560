// Shared by the attention kernels.

const EPSILON: f32 = 1e-6;
// Head size in vec4s. Replaced by the engine with the model's; see kernels.rs.
const HEAD: u32 = 8u;
override THREADS: u32 = 64u;

// A single element of the arena.
fn arena_element(i: u32) -> f32 {
    return arena[i >> 2u][i & 3u];
}
