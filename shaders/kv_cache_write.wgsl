// Writes the current frame's normalized keys and its values into its slot of the KV cache. One thread
// per token and head.

struct Args {
    // Queries, keys and values: [tokens, 3 * heads * head size].
    qkv: u32,
    // KV cache: [slots, tokens, heads * head size] each.
    keys: u32,
    values: u32,
    tokens: u32,
    heads: u32,
};

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / args.heads;
    let head = id.x % args.heads;
    if token >= args.tokens {
        return;
    }
    let width = args.heads * HEAD;
    let key = args.qkv / 4u + (token * 3u + 1u) * width + head * HEAD;
    var norm2 = EPSILON;
    for (var i = 0u; i < HEAD; i += 1u) {
        norm2 += dot(arena[key + i], arena[key + i]);
    }
    // The sampler rejects a frame that is not finite; the oldest cached frame must then survive.
    if (bitcast<u32>(norm2) & 0x7f800000u) == 0x7f800000u {
        return;
    }
    let scale = inverseSqrt(norm2);
    let at = (frame.slot * args.tokens + token) * width + head * HEAD;
    for (var i = 0u; i < HEAD; i += 1u) {
        arena[args.keys / 4u + at + i] = arena[key + i] * scale;
        arena[args.values / 4u + at + i] = arena[key + width + i];
    }
}
