// Attention to recalled frames: each token of a frame attends to the tokens of its recalled frames, or
// to nothing. One thread per token and head, with an online softmax (Milakov and Gimelshein 2018).
// Queries and keys are normalised to length 1.

struct Args {
    // Queries: [tokens, heads * head size].
    q: u32,
    // Keys, then values, of each memory token: [memory tokens, 2 * heads * head size].
    kv: u32,
    // Output: [tokens, heads * head size].
    y: u32,
    tokens: u32,
    heads: u32,
    // Per head in `weights`, [heads, 2]: logit scale, and the logit of reading nothing.
    parameters: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / args.heads;
    let head = id.x % args.heads;
    if token >= args.tokens {
        return;
    }
    let width = args.heads * HEAD;
    let query = args.q / 4u + token * width + head * HEAD;
    var q = array<vec4<f32>, HEAD>();
    var norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[query + i];
        norm2 += dot(q[i], q[i]);
    }
    let scale = weight(args.parameters + 2u * head) * inverseSqrt(norm2);
    // What reading nothing adds is zero.
    var max_logit = weight(args.parameters + 2u * head + 1u);
    var denominator = 1.0;
    var sum = array<vec4<f32>, HEAD>();
    for (var j = 0u; j < frame.memory_tokens; j += 1u) {
        let key = args.kv / 4u + j * 2u * width + head * HEAD;
        var product = 0.0;
        norm2 = EPSILON;
        for (var i = 0u; i < HEAD; i += 1u) {
            let k = arena[key + i];
            product += dot(q[i], k);
            norm2 += dot(k, k);
        }
        let logit = product * scale * inverseSqrt(norm2);
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
