// Finishes a frame, in one workgroup: reports whether its clean latent is finite. If so, stores it as the
// last latent and shifts the past latents by one frame. Otherwise leaves both unchanged.

struct Args {
    // Arena offsets, [cells, channels] each: the new clean latent, its noised version for the context,
    // and the last finite latent (output).
    clean: u32,
    context: u32,
    latent: u32,
    // Past latents: [cells, frames * channels], latest first.
    past: u32,
    frames: u32,
    cells: u32,
    channels: u32,
    // Output: 1 if the latent is finite, else 0.
    finite: u32,
};

override THREADS: u32 = 64u;

var<workgroup> non_finite: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) index: u32) {
    if index == 0u {
        atomicStore(&non_finite, 0u);
    }
    workgroupBarrier();
    for (var i = index; i < args.cells * args.channels; i += THREADS) {
        if (bitcast<u32>(load(args.clean + i)) & 0x7f800000u) == 0x7f800000u {
            atomicStore(&non_finite, 1u);
        }
    }
    workgroupBarrier();
    let is_finite = atomicLoad(&non_finite) == 0u;
    if index == 0u {
        store(args.finite, select(0.0, 1.0, is_finite));
    }
    if !is_finite {
        return;
    }
    for (var i = index; i < args.cells * args.channels; i += THREADS) {
        store(args.latent + i, load(args.clean + i));
    }
    if args.frames == 0u {
        return;
    }
    let row = args.frames * args.channels;
    for (var cell = index; cell < args.cells; cell += THREADS) {
        let past = args.past + cell * row;
        for (var i = row; i > args.channels; i -= 1u) {
            store(past + i - 1u, load(past + i - 1u - args.channels));
        }
        for (var i = 0u; i < args.channels; i += 1u) {
            store(past + i, load(args.context + cell * args.channels + i));
        }
    }
}
