// Ends a frame, in one workgroup: whether its latent is finite goes into the report, and if it is, it is
// the frame's, and the frames before move on by one. What is not finite must not have replaced them.

struct Op {
    // In numbers, [cells, channels] each: the new clean latent, the version that the context keeps, and
    // where the last frame's clean latent is.
    clean: u32,
    kept: u32,
    latent: u32,
    // [cells, frames * channels], the latest first.
    past: u32,
    frames: u32,
    cells: u32,
    channels: u32,
    // 1 if the latent is finite, else 0.
    report: u32,
};

override THREADS: u32 = 64u;

var<workgroup> broken: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) index: u32) {
    if index == 0u {
        atomicStore(&broken, 0u);
    }
    workgroupBarrier();
    for (var i = index; i < op.cells * op.channels; i += THREADS) {
        if (bitcast<u32>(load(op.clean + i)) & 0x7f800000u) == 0x7f800000u {
            atomicStore(&broken, 1u);
        }
    }
    workgroupBarrier();
    let whole = atomicLoad(&broken) == 0u;
    if index == 0u {
        store(op.report, select(0.0, 1.0, whole));
    }
    if !whole {
        return;
    }
    for (var i = index; i < op.cells * op.channels; i += THREADS) {
        store(op.latent + i, load(op.clean + i));
    }
    if op.frames == 0u {
        return;
    }
    let row = op.frames * op.channels;
    for (var cell = index; cell < op.cells; cell += THREADS) {
        let past = op.past + cell * row;
        for (var i = row; i > op.channels; i -= 1u) {
            store(past + i - 1u, load(past + i - 1u - op.channels));
        }
        for (var i = 0u; i < op.channels; i += 1u) {
            store(past + i, load(op.kept + cell * op.channels + i));
        }
    }
}
