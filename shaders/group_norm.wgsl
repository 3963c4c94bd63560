// Group normalization (Wu and He 2018) with a gain and an offset for each channel, then SiLU if wanted: one
// workgroup per block of pixels and group of channels. Each puts the statistics of its group's blocks
// together (Chan, Golub and LeVeque 1983).

struct Args {
    x: RowLayout,
    y: RowLayout,
    // What group_statistics.wgsl wrote: [groups, blocks, 2].
    statistics: u32,
    pixels: u32,
    // Pixels of a block; the last one may have fewer.
    block: u32,
    // Channels of a group.
    width: u32,
    // Gains less `gain`, then offsets, in the arena: [2, channels].
    affine: u32,
    channels: u32,
    gain: f32,
    // 1: SiLU.
    silu: u32,
};

const EPSILON: f32 = 1e-5;

@compute @workgroup_size(THREADS)
fn main(thread: Thread) {
    let blocks = (args.pixels + args.block - 1u) / args.block;
    let statistics = args.statistics + 2u * thread.group.y * blocks;
    var sum = 0.0;
    for (var i = thread.index; i < blocks; i += THREADS) {
        sum += f32(min(args.block, args.pixels - i * args.block)) * load(statistics + 2u * i);
    }
    let mean = workgroup_sum(thread, sum) / f32(args.pixels);
    // Before the partial sums are written again.
    workgroupBarrier();
    var squares = 0.0;
    for (var i = thread.index; i < blocks; i += THREADS) {
        let count = f32(min(args.block, args.pixels - i * args.block) * args.width);
        let deviation = load(statistics + 2u * i) - mean;
        squares += load(statistics + 2u * i + 1u) + count * deviation * deviation;
    }
    let variance = workgroup_sum(thread, squares) / f32(args.pixels * args.width);
    let scale = inverseSqrt(variance + EPSILON);
    let first = thread.group.x * args.block;
    let count = min(args.block, args.pixels - first) * args.width;
    for (var i = thread.index; i < count; i += THREADS) {
        let pixel = first + i / args.width;
        let channel = thread.group.y * args.width + i % args.width;
        let gain = args.gain + load(args.affine + channel);
        let offset = load(args.affine + args.channels + channel);
        let x = load(row_start(args.x, pixel) + column_offset(args.x, channel));
        let y = fma((x - mean) * scale, gain, offset);
        store(row_start(args.y, pixel) + column_offset(args.y, channel), select(y, silu(y), args.silu == 1u));
    }
}
