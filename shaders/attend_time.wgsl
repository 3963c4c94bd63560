// Attention of every token over itself in earlier frames, which a ring holds, and over its own
// present: one thread a token and head. The ring's keys are of length 1 already; a bias depends on
// the distance in frames.

struct Op {
    // Rows of queries, keys and values one after the other, [tokens, 3 * heads * HEAD].
    qkv: u32,
    // [tokens, heads * HEAD].
    y: u32,
    // [slots, tokens, heads * HEAD] each.
    keys: u32,
    values: u32,
    tokens: u32,
    heads: u32,
    // [heads, 1 + context] in numbers: scale, then bias by distance.
    parameters: u32,
    context: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / op.heads;
    let head = id.x % op.heads;
    if token >= op.tokens {
        return;
    }
    let width = op.heads * HEAD;
    let own = op.qkv / 4u + token * 3u * width + head * HEAD;
    let parameters = op.parameters + head * (1u + op.context);
    var q = array<vec4<f32>, HEAD>();
    var square = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[own + i];
        square += dot(q[i], q[i]);
    }
    let scale = weight(parameters) * inverseSqrt(square);
    var product = 0.0;
    square = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        let k = arena[own + width + i];
        product += dot(q[i], k);
        square += dot(k, k);
    }
    var most = product * scale * inverseSqrt(square) + weight(parameters + 1u);
    var total = 1.0;
    var sum = array<vec4<f32>, HEAD>();
    for (var i = 0u; i < HEAD; i += 1u) {
        sum[i] = arena[own + 2u * width + i];
    }
    for (var n = 1u; n <= frame.seen; n += 1u) {
        let slot = (frame.slot + frame.slots - n) % frame.slots;
        let at = (slot * op.tokens + token) * width + head * HEAD;
        product = 0.0;
        for (var i = 0u; i < HEAD; i += 1u) {
            product += dot(q[i], arena[op.keys / 4u + at + i]);
        }
        let logit = product * scale + weight(parameters + 1u + n);
        let higher = max(most, logit);
        let fade = exp(most - higher);
        let share = exp(logit - higher);
        most = higher;
        total = total * fade + share;
        for (var i = 0u; i < HEAD; i += 1u) {
            sum[i] = fma(vec4<f32>(share), arena[op.values / 4u + at + i], sum[i] * fade);
        }
    }
    let y = op.y / 4u + token * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[y + i] = sum[i] / total;
    }
}
