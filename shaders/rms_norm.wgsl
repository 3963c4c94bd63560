// RMSNorm: y = x / rms(x) * gain, one workgroup per row (Zhang and Sennrich 2019).

struct Args {
    x: RowLayout,
    y: RowLayout,
    width: u32,
    // Gain in `weights`: [width].
    gain: u32,
};

const EPSILON: f32 = 1e-6;

@compute @workgroup_size(THREADS)
fn main(thread: Thread) {
    let x = row_start(args.x, thread.group.x);
    let y = row_start(args.y, thread.group.x);
    var sum = 0.0;
    for (var i = thread.index; i < args.width; i += THREADS) {
        let value = load(x + column_offset(args.x, i));
        sum = fma(value, value, sum);
    }
    let scale = inverseSqrt(workgroup_sum(thread, sum) / f32(args.width) + EPSILON);
    for (var i = thread.index; i < args.width; i += THREADS) {
        store(y + column_offset(args.y, i), load(x + column_offset(args.x, i)) * scale * weight(args.gain + i));
    }
}
