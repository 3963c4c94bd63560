// The mean of a block of pixels over a group of channels, and the sum of squared deviations from it: one
// workgroup per block and group. group_norm.wgsl puts the blocks together.

struct Args {
    x: RowLayout,
    // Output: [groups, blocks, 2].
    statistics: u32,
    pixels: u32,
    // Pixels of a block; the last one may have fewer.
    block: u32,
    // Channels of a group.
    width: u32,
};

@compute @workgroup_size(THREADS)
fn main(thread: Thread) {
    let first = thread.group.x * args.block;
    let count = min(args.block, args.pixels - first) * args.width;
    let channel = thread.group.y * args.width;
    var sum = 0.0;
    for (var i = thread.index; i < count; i += THREADS) {
        sum += load(row_start(args.x, first + i / args.width) + column_offset(args.x, channel + i % args.width));
    }
    let mean = workgroup_sum(thread, sum) / f32(count);
    // Before the partial sums are written again.
    workgroupBarrier();
    var squares = 0.0;
    for (var i = thread.index; i < count; i += THREADS) {
        let at = row_start(args.x, first + i / args.width) + column_offset(args.x, channel + i % args.width);
        let deviation = load(at) - mean;
        squares = fma(deviation, deviation, squares);
    }
    squares = workgroup_sum(thread, squares);
    if thread.index == 0u {
        let blocks = (args.pixels + args.block - 1u) / args.block;
        let at = args.statistics + 2u * (thread.group.y * blocks + thread.group.x);
        store(at, mean);
        store(at + 1u, squares);
    }
}
