// Shared by the attention kernels.

const EPSILON: f32 = 1e-6;
// Head size in vec4s. Replaced by the engine with the model's; see kernels.rs.
const HEAD: u32 = 8u;
override THREADS: u32 = 64u;
