// Addressed N(0, 1) noise, the same numbers as in the engine's noise.rs: Philox4x32-10 (Salmon et al.
// 2011) and the Box-Muller transform, with the logarithm from Cephes, and sine and cosine from
// turns.wgsl.

// High and low words of x * by.
fn multiply_wide(x: u32, by: u32) -> vec2<u32> {
    let a = x & 0xffffu;
    let b = x >> 16u;
    let c = by & 0xffffu;
    let d = by >> 16u;
    let low = a * c;
    let middle = b * c + (low >> 16u);
    let other = a * d + (middle & 0xffffu);
    return vec2<u32>(b * d + (middle >> 16u) + (other >> 16u), x * by);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var x = counter;
    var key = seed;
    for (var i = 0u; i < 10u; i += 1u) {
        let a = multiply_wide(x.x, 0xd2511f53u);
        let c = multiply_wide(x.z, 0xcd9e8d57u);
        x = vec4<u32>(c.x ^ x.y ^ key.x, c.y, a.x ^ x.w ^ key.y, a.y);
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return x;
}

fn ln(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    var e = f32(i32(bits >> 23u) - 126);
    var m = bitcast<f32>((bits & 0x007fffffu) | 0x3f000000u);
    if m < 0.707106781 {
        m *= 2.0;
        e -= 1.0;
    }
    let t = m - 1.0;
    let z = t * t;
    var y = 7.0376836292e-2;
    y = y * t - 1.1514610310e-1;
    y = y * t + 1.1676998740e-1;
    y = y * t - 1.2420140846e-1;
    y = y * t + 1.4249322787e-1;
    y = y * t - 1.6668057665e-1;
    y = y * t + 2.0000714765e-1;
    y = y * t - 2.4999993993e-1;
    y = y * t + 3.3333331174e-1;
    y = t * z * y - 2.12194440e-4 * e - 0.5 * z;
    return t + y + 0.693359375 * e;
}

fn normal_pair(a: u32, b: u32) -> vec2<f32> {
    let part = 1.0 / 16777216.0;
    let radius = sqrt(-2.0 * ln((f32(a >> 8u) + 0.5) * part));
    return radius * cos_sin_turns(f32(b >> 8u) * part);
}

// Values 4 * block to 4 * block + 3 of this frame's noise for a purpose.
fn normal_block(block: u32, purpose: u32) -> vec4<f32> {
    let counter = vec4<u32>(block, purpose, frame.number);
    let words = philox(counter, frame.seed);
    return vec4<f32>(normal_pair(words.x, words.y), normal_pair(words.z, words.w));
}
