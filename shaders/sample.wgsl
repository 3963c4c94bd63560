// What a sampler does between the network's passes, on latents: one thread four numbers.
//
//   0: z = temperature * noise           the start of a frame
//   1: z = keep * z + take * x           a step, with the shares of pass `index`
//   2: z = alpha * x + sigma * noise     the context's version of a clean latent

struct Op {
    // All of the arena, whole vec4s.
    z: u32,
    x: u32,
    numbers: u32,
    what: u32,
    index: u32,
};

// Uses of noise, as src/engine/noise.rs numbers them.
const START: u32 = 0u;
const CONTEXT: u32 = 1u;
override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if 4u * i >= op.numbers {
        return;
    }
    let z = op.z / 4u + i;
    let x = op.x / 4u + i;
    switch op.what {
        case 0u: {
            arena[z] = frame.temperature * normal_block(i, START);
        }
        case 1u: {
            let asked = frame.passes[op.index];
            arena[z] = asked.keep * arena[z] + asked.take * arena[x];
        }
        default: {
            var kept = frame.alpha * arena[x];
            if frame.sigma != 0.0 {
                kept += frame.sigma * normal_block(i, CONTEXT);
            }
            arena[z] = kept;
        }
    }
}
