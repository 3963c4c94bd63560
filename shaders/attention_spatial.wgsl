// Spatial attention: each token of a frame attends to all tokens of that frame. One thread per query
// and head, with an online softmax (Milakov and Gimelshein 2018). Queries and keys are normalized to
// length 1, and logits are cosine similarities times a scale per head; or logits are plain products times
// one scale.

struct Args {
    // Queries, keys and values: [tokens, 3 * heads * head size].
    qkv: u32,
    // Output: [tokens, heads * head size].
    y: u32,
    tokens: u32,
    heads: u32,
    // Logit scales in `weights`: [heads], or NONE: plain products.
    scales: u32,
    // Of plain products.
    scale: f32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / args.heads;
    let head = id.x % args.heads;
    if token >= args.tokens {
        return;
    }
    let width = args.heads * HEAD;
    let query = args.qkv / 4u + token * 3u * width + head * HEAD;
    var q = array<vec4<f32>, HEAD>();
    var norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[query + i];
        norm2 += dot(q[i], q[i]);
    }
    let plain = args.scales == NONE;
    var scale = args.scale;
    if !plain {
        scale = weight(args.scales + head) * inverseSqrt(norm2);
    }
    var max_logit = -3.0e38;
    var denominator = 0.0;
    var sum = array<vec4<f32>, HEAD>();
    for (var j = 0u; j < args.tokens; j += 1u) {
        let key = args.qkv / 4u + (j * 3u + 1u) * width + head * HEAD;
        var product = 0.0;
        norm2 = EPSILON;
        for (var i = 0u; i < HEAD; i += 1u) {
            let k = arena[key + i];
            product += dot(q[i], k);
            norm2 += dot(k, k);
        }
        let logit = product * scale * select(inverseSqrt(norm2), 1.0, plain);
        let new_max = max(max_logit, logit);
        let rescale = exp(max_logit - new_max);
        let p = exp(logit - new_max);
        max_logit = new_max;
        denominator = denominator * rescale + p;
        for (var i = 0u; i < HEAD; i += 1u) {
            sum[i] = fma(vec4<f32>(p), arena[key + width + i], sum[i] * rescale);
        }
    }
    let y = args.y / 4u + token * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[y + i] = sum[i] / denominator;
    }
}
