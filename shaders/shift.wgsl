// y = (x + shift) * scale with a shift for every number and a scale for every channel: what turns a
// raw latent into a standardised one, and copies where both are NONE. One thread a number.

struct Op {
    x: Rows,
    y: Rows,
    rows: u32,
    width: u32,
    // [rows, width] and [width], in numbers, or NONE.
    shift: u32,
    scale: u32,
};

override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x / op.width;
    let i = id.x % op.width;
    if row >= op.rows {
        return;
    }
    var value = load(row_start(op.x, row) + along(op.x, i));
    if op.shift != NONE {
        value += weight(op.shift + id.x);
    }
    if op.scale != NONE {
        value *= weight(op.scale + i);
    }
    store(row_start(op.y, row) + along(op.y, i), value);
}
