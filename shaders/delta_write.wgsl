// A finished frame writes into its delta states by the gated delta rule (Yang, Kautz and Hatamizadeh 2024,
// arXiv 2412.06464): S = a S + b k (v - a S k), with the key k normalized to length 1, a = sigmoid(logit +
// offset) and b = sigmoid(logit). One thread per token and head.

struct Args {
    // Keys, then values, of each token: [tokens, 2 * heads * head size].
    kv: u32,
    // Logits of what is kept, then of how much is replaced: [tokens, 2 * heads].
    gates: u32,
    // States: [tokens, heads, keys, values].
    state: u32,
    tokens: u32,
    heads: u32,
    keep_offset: f32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / args.heads;
    let head = id.x % args.heads;
    if token >= args.tokens {
        return;
    }
    let width = args.heads * HEAD;
    let key = args.kv / 4u + token * 2u * width + head * HEAD;
    var k = array<vec4<f32>, HEAD>();
    var norm2 = EPSILON;
    var finite = 0.0;
    for (var i = 0u; i < HEAD; i += 1u) {
        k[i] = arena[key + i];
        norm2 += dot(k[i], k[i]);
        finite += dot(arena[key + width + i], arena[key + width + i]);
    }
    // The sampler rejects a frame that is not finite; the state must then stay as it is.
    finite += norm2;
    if (bitcast<u32>(finite) & 0x7f800000u) == 0x7f800000u {
        return;
    }
    let scale = inverseSqrt(norm2);
    let gate = args.gates + token * 2u * args.heads + head;
    let keep = 1.0 / (1.0 + exp(-arena_element(gate) - args.keep_offset));
    let replace = 1.0 / (1.0 + exp(-arena_element(gate + args.heads)));
    let state = args.state / 4u + id.x * 4u * HEAD * HEAD;
    // v - a S k.
    var change = array<vec4<f32>, HEAD>();
    for (var i = 0u; i < HEAD; i += 1u) {
        change[i] = arena[key + width + i];
    }
    for (var j = 0u; j < 4u * HEAD; j += 1u) {
        let kj = vec4<f32>(-keep * scale * k[j >> 2u][j & 3u]);
        for (var i = 0u; i < HEAD; i += 1u) {
            change[i] = fma(kj, arena[state + j * HEAD + i], change[i]);
        }
    }
    for (var j = 0u; j < 4u * HEAD; j += 1u) {
        let kj = vec4<f32>(replace * scale * k[j >> 2u][j & 3u]);
        for (var i = 0u; i < HEAD; i += 1u) {
            let at = state + j * HEAD + i;
            arena[at] = fma(kj, change[i], arena[at] * keep);
        }
    }
}
