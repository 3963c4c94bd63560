// Writes the present frame's keys, brought to length 1, and its values into its slot of the ring:
// one thread a token and head.

struct Op {
    // Rows of queries, keys and values one after the other, [tokens, 3 * heads * HEAD].
    qkv: u32,
    // [slots, tokens, heads * HEAD] each.
    keys: u32,
    values: u32,
    tokens: u32,
    heads: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / op.heads;
    let head = id.x % op.heads;
    if token >= op.tokens {
        return;
    }
    let width = op.heads * HEAD;
    let key = op.qkv / 4u + (token * 3u + 1u) * width + head * HEAD;
    var square = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        square += dot(arena[key + i], arena[key + i]);
    }
    // What is not finite is refused by the sampler, and must not have replaced the oldest frame.
    if (bitcast<u32>(square) & 0x7f800000u) == 0x7f800000u {
        return;
    }
    let scale = inverseSqrt(square);
    let at = (frame.slot * op.tokens + token) * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[op.keys / 4u + at + i] = arena[key + i] * scale;
        arena[op.values / 4u + at + i] = arena[key + width + i];
    }
}
