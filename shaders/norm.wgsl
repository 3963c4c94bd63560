// y = x / rms(x) * gain, one workgroup a row (RMSNorm, Zhang and Sennrich 2019).

struct Op {
    x: Rows,
    y: Rows,
    width: u32,
    // Of the gain, in numbers.
    gain: u32,
};

const EPSILON: f32 = 1e-6;
override THREADS: u32 = 64u;

var<workgroup> sums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let x = row_start(op.x, group.x);
    let y = row_start(op.y, group.x);
    var sum = 0.0;
    for (var i = index; i < op.width; i += THREADS) {
        let value = load(x + along(op.x, i));
        sum = fma(value, value, sum);
    }
    sums[index] = sum;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if index < half {
            sums[index] += sums[index + half];
        }
        workgroupBarrier();
    }
    let scale = inverseSqrt(sums[0] / f32(op.width) + EPSILON);
    for (var i = index; i < op.width; i += THREADS) {
        store(y + along(op.y, i), load(x + along(op.x, i)) * scale * weight(op.gain + i));
    }
}
