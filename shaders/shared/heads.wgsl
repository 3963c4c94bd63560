// What the kernels of attention share: one thread a token and head.

const EPSILON: f32 = 1e-6;
// Numbers of a head in vec4s; the engine writes the model's.
const HEAD: u32 = 8u;
override THREADS: u32 = 64u;
