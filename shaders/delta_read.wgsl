// Each token reads its delta states: y = sigmoid(gate) S q, with the query q normalized to length 1. One
// thread per token and head.

struct Args {
    // Queries: [tokens, heads * head size].
    q: u32,
    // Logits of the gates: [tokens, heads].
    gates: u32,
    // States: [tokens, heads, keys, values].
    state: u32,
    // Output: [tokens, heads * head size].
    y: u32,
    tokens: u32,
    heads: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= args.tokens * args.heads {
        return;
    }
    let query = args.q / 4u + id.x * HEAD;
    var q = array<vec4<f32>, HEAD>();
    var norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        q[i] = arena[query + i];
        norm2 += dot(q[i], q[i]);
    }
    let gate = 1.0 / (1.0 + exp(-arena_element(args.gates + id.x)));
    let scale = select(0.0, gate * inverseSqrt(norm2), frame.reads_state == 1u);
    let state = args.state / 4u + id.x * 4u * HEAD * HEAD;
    var sum = array<vec4<f32>, HEAD>();
    for (var j = 0u; j < 4u * HEAD; j += 1u) {
        let key = vec4<f32>(scale * q[j >> 2u][j & 3u]);
        for (var i = 0u; i < HEAD; i += 1u) {
            sum[i] = fma(key, arena[state + j * HEAD + i], sum[i]);
        }
    }
    let y = args.y / 4u + id.x * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[y + i] = sum[i];
    }
}
