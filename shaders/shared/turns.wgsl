// Cosine and sine as in Cephes. WGSL's own may be off by 2^-11 in [-pi, pi] and by anything beyond: on
// SwiftShader, embeddings of the signal level were off by 1e-4 of their size.

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
