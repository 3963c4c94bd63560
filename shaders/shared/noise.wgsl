// Addressed N(0, 1) noise, the same numbers as in the engine's noise.rs: Philox4x32-10 (Salmon et al.
// 2011) and the Box-Muller transform, with logarithm, sine and cosine from Cephes.

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

// Cosine and sine of 2 pi x for x in [0, 1).
fn cos_sin_turns(x: f32) -> vec2<f32> {
    let quarter = floor(4.0 * x + 0.5);
    let angle = (x - 0.25 * quarter) * 6.28318530717958;
    let z = angle * angle;
    let s = angle + angle * z * ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1);
    let c = 1.0 - 0.5 * z
        + z * z * ((2.4433157118e-5 * z - 1.3887316255e-3) * z + 4.1666645683e-2);
    switch u32(quarter) % 4u {
        case 0u: {
            return vec2<f32>(c, s);
        }
        case 1u: {
            return vec2<f32>(-s, c);
        }
        case 2u: {
            return vec2<f32>(-c, -s);
        }
        default: {
            return vec2<f32>(s, -c);
        }
    }
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
