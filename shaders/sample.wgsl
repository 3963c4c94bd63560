// The sampler's operations on latents between network passes. One thread per vec4.
//
//   0: z = temperature * noise                  initial noise of a frame
//   1: z = z_scale * z + output_scale * x       one step, with the coefficients of pass `pass_index`
//   2: z = alpha * x + sigma * noise            the noised latent that the context gets

struct Args {
    // Arena offsets, multiples of 4.
    z: u32,
    x: u32,
    len: u32,
    operation: u32,
    pass_index: u32,
};

// What the noise is for, numbered as in the engine's noise.rs.
const START: u32 = 0u;
const CONTEXT: u32 = 1u;
override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if 4u * i >= args.len {
        return;
    }
    let z = args.z / 4u + i;
    let x = args.x / 4u + i;
    switch args.operation {
        case 0u: {
            arena[z] = frame.temperature * normal_block(i, START);
        }
        case 1u: {
            let coefficients = frame.passes[args.pass_index];
            arena[z] = coefficients.z_scale * arena[z] + coefficients.output_scale * arena[x];
        }
        default: {
            var context = frame.alpha * arena[x];
            if frame.sigma != 0.0 {
                context += frame.sigma * normal_block(i, CONTEXT);
            }
            arena[z] = context;
        }
    }
}
