// y = x / rms(x) * gain, one workgroup a row (RMSNorm, Zhang and Sennrich 2019).

struct Op {
    x: Rows,
    y: Rows,
    width: u32,
    // Of the gain, in numbers.
    gain: u32,
};

const EPSILON: f32 = 1e-6;

@compute @workgroup_size(THREADS)
fn main(place: Place) {
    let x = row_start(op.x, place.group.x);
    let y = row_start(op.y, place.group.x);
    var sum = 0.0;
    for (var i = place.index; i < op.width; i += THREADS) {
        let value = load(x + along(op.x, i));
        sum = fma(value, value, sum);
    }
    let scale = inverseSqrt(total(place, sum) / f32(op.width) + EPSILON);
    for (var i = place.index; i < op.width; i += THREADS) {
        store(y + along(op.y, i), load(x + along(op.x, i)) * scale * weight(op.gain + i));
    }
}
