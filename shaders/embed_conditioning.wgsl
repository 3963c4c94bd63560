// y = start + conditioning embeddings. One thread per element. The stem adds all embeddings to every
// cell; in the trunk, one token takes the action embedding and one takes signal level and step size.

struct Args {
    // Arena offsets: [rows, width] each.
    start: u32,
    y: u32,
    rows: u32,
    width: u32,
    // Embedding tables in `weights`: [actions, width], [width, FEATURES], [step sizes, width].
    action: u32,
    signal: u32,
    step_size: u32,
    // Row that takes the embedding, or NONE for all rows.
    action_row: u32,
    signal_row: u32,
    pass_index: u32,
    // Map of the axes in `weights`, [width, axes], and their number.
    axes: u32,
    axis_count: u32,
};

const FEATURES: u32 = 16u;
override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x / args.width;
    let i = id.x % args.width;
    if row >= args.rows {
        return;
    }
    var value = load(args.start + id.x);
    if args.action_row == NONE || args.action_row == row {
        value += weight(args.action + frame.action * args.width + i);
        for (var k = 0u; k < args.axis_count; k += 1u) {
            value = fma(weight(args.axes + i * args.axis_count + k), frame.axes[k], value);
        }
    }
    if args.signal_row == NONE || args.signal_row == row {
        let denoise_pass = frame.passes[args.pass_index];
        value += weight(args.step_size + denoise_pass.step_index * args.width + i);
        for (var k = 0u; k < FEATURES; k += 1u) {
            // cos(pi k tau)
            let wave = cos_sin_turns(fract(0.5 * f32(k) * denoise_pass.tau)).x;
            value = fma(weight(args.signal + i * FEATURES + k), wave, value);
        }
    }
    store(args.y + id.x, value);
}
