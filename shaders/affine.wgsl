// y = (x + shift) * scale, with a shift per element and a scale per channel. Standardizes latents, adds
// position embeddings, and copies if both are NONE. One thread per element.

struct Args {
    x: RowLayout,
    y: RowLayout,
    rows: u32,
    width: u32,
    // In `weights`: [rows, width] and [width], or NONE.
    shift: u32,
    scale: u32,
};

override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x / args.width;
    let i = id.x % args.width;
    if row >= args.rows {
        return;
    }
    var value = load(row_start(args.x, row) + column_offset(args.x, i));
    if args.shift != NONE {
        value += weight(args.shift + id.x);
    }
    if args.scale != NONE {
        value *= weight(args.scale + i);
    }
    store(row_start(args.y, row) + column_offset(args.y, i), value);
}
