// Temporal attention: each token attends to itself in the current frame and in earlier frames, whose
// keys and values are in the KV cache. One thread per token and head. Cached keys are already
// normalized to length 1. The bias depends on the distance in frames.

struct Args {
    // Queries, keys and values: [tokens, 3 * heads * head size].
    qkv: u32,
    // Output: [tokens, heads * head size].
    y: u32,
    // KV cache: [slots, tokens, heads * head size] each.
    keys: u32,
    values: u32,
    tokens: u32,
    heads: u32,
    // Per head in `weights`, [heads, 1 + context]: logit scale, then bias by distance.
    parameters: u32,
    context: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / args.heads;
    let head = id.x % args.heads;
    if token >= args.tokens {
        return;
    }
    let width = args.heads * HEAD;
    let own = args.qkv / 4u + token * 3u * width + head * HEAD;
    let parameters = args.parameters + head * (1u + args.context);
    var q = array<vec4<f32>, HEAD>();
    var norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[own + i];
        norm2 += dot(q[i], q[i]);
    }
    let scale = weight(parameters) * inverseSqrt(norm2);
    var product = 0.0;
    norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        let k = arena[own + width + i];
        product += dot(q[i], k);
        norm2 += dot(k, k);
    }
    var max_logit = product * scale * inverseSqrt(norm2) + weight(parameters + 1u);
    var denominator = 1.0;
    var sum = array<vec4<f32>, HEAD>();
    for (var i = 0u; i < HEAD; i += 1u) {
        sum[i] = arena[own + 2u * width + i];
    }
    for (var n = 1u; n <= frame.attended_frames; n += 1u) {
        let slot = (frame.slot + frame.slots - n) % frame.slots;
        let at = (slot * args.tokens + token) * width + head * HEAD;
        product = 0.0;
        for (var i = 0u; i < HEAD; i += 1u) {
            product += dot(q[i], arena[args.keys / 4u + at + i]);
        }
        let logit = product * scale + weight(parameters + 1u + n);
        let new_max = max(max_logit, logit);
        let rescale = exp(max_logit - new_max);
        let p = exp(logit - new_max);
        max_logit = new_max;
        denominator = denominator * rescale + p;
        for (var i = 0u; i < HEAD; i += 1u) {
            sum[i] = fma(vec4<f32>(p), arena[args.values / 4u + at + i], sum[i] * rescale);
        }
    }
    let y = args.y / 4u + token * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[y + i] = sum[i] / denominator;
    }
}
