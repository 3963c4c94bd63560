// The arena as vec4s, for kernels whose threads write whole vectors.

@group(0) @binding(1) var<storage, read_write> arena: array<vec4<f32>>;
