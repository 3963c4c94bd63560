// Attention of every token of a frame over all of them, one thread a query and head, with the
// softmax made while the keys go by (Milakov and Gimelshein 2018). Queries and keys are brought to
// length 1; a head's logits are its scale times their cosines.

struct Op {
    // Rows of queries, keys and values one after the other, [tokens, 3 * heads * HEAD].
    qkv: u32,
    // [tokens, heads * HEAD].
    y: u32,
    tokens: u32,
    heads: u32,
    // Of the scales, in numbers.
    scale: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / op.heads;
    let head = id.x % op.heads;
    if token >= op.tokens {
        return;
    }
    let width = op.heads * HEAD;
    let query = op.qkv / 4u + token * 3u * width + head * HEAD;
    var q = array<vec4<f32>, HEAD>();
    var square = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[query + i];
        square += dot(q[i], q[i]);
    }
    let scale = weight(op.scale + head) * inverseSqrt(square);
    var most = -3.0e38;
    var total = 0.0;
    var sum = array<vec4<f32>, HEAD>();
    for (var j = 0u; j < op.tokens; j += 1u) {
        let key = op.qkv / 4u + (j * 3u + 1u) * width + head * HEAD;
        var product = 0.0;
        square = EPSILON;
        for (var i = 0u; i < HEAD; i += 1u) {
            let k = arena[key + i];
            product += dot(q[i], k);
            square += dot(k, k);
        }
        let logit = product * scale * inverseSqrt(square);
        let higher = max(most, logit);
        let fade = exp(most - higher);
        let share = exp(logit - higher);
        most = higher;
        total = total * fade + share;
        for (var i = 0u; i < HEAD; i += 1u) {
            sum[i] = fma(vec4<f32>(share), arena[key + width + i], sum[i] * fade);
        }
    }
    let y = op.y / 4u + token * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[y + i] = sum[i] / total;
    }
}
