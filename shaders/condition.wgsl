// y = start, plus the embedding of the action in some rows, and that of signal level and step size
// in some: one thread a number. Cells of the stem have both in every row; of the trunk's tokens, one
// is the action's and one the signal's.

struct Op {
    // [rows, width] each, of the arena.
    start: u32,
    y: u32,
    rows: u32,
    width: u32,
    // Tables, in numbers: [actions, width], [width, FEATURES], [step sizes, width].
    action: u32,
    signal: u32,
    step: u32,
    // The row that has it, or NONE for all.
    action_row: u32,
    signal_row: u32,
    // Index of the pass.
    pass_index: u32,
};

const FEATURES: u32 = 16u;
const PI: f32 = 3.14159265358979;
override THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x / op.width;
    let i = id.x % op.width;
    if row >= op.rows {
        return;
    }
    var value = load(op.start + id.x);
    if op.action_row == NONE || op.action_row == row {
        value += weight(op.action + frame.action * op.width + i);
    }
    if op.signal_row == NONE || op.signal_row == row {
        let asked = frame.passes[op.pass_index];
        value += weight(op.step + asked.step * op.width + i);
        for (var k = 0u; k < FEATURES; k += 1u) {
            value = fma(weight(op.signal + i * FEATURES + k), cos(asked.tau * f32(k) * PI), value);
        }
    }
    store(op.y + id.x, value);
}
