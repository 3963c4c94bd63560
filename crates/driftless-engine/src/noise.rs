//! Addressed noise: the same (seed, frame, purpose) always gives the same values, whatever was sampled
//! before, on the CPU and on the GPU (`shaders/shared/noise.wgsl`).
//!
//! A block of four values is Philox4x32-10 of its address (Salmon et al., *Parallel Random Numbers: As
//! Easy as 1, 2, 3*, 2011) through the Box-Muller transform (1958). Logarithm, sine and cosine are the
//! single-precision ones of Moshier's Cephes, because those of GPUs differ.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the noise is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoisePurpose {
    /// Initial noise of a frame.
    Initial,
    /// Noise added to a finished frame to bring it to the context's signal level.
    Context,
    /// Noise that churn adds between steps.
    Churn,
    /// Noise added to a given frame to measure its surprise, and the probes of its likelihood.
    Likelihood,
}

/// Number of purposes, each with its own stream.
const PURPOSES: u64 = 4;

/// A sequential generator for an address, for values that are drawn one after another.
pub fn rng(seed: u64, frame: u64, purpose: NoisePurpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(frame.wrapping_mul(PURPOSES).wrapping_add(purpose as u64));
    rng
}

/// Fills `out` with the N(0, 1) values of an address.
pub fn fill(out: &mut [f32], seed: u64, frame: u64, purpose: NoisePurpose) {
    let [seed, frame] = [seed, frame].map(|x| [x as u32, (x >> 32) as u32]);
    for (block, out) in out.chunks_mut(4).enumerate() {
        let counter = [block as u32, purpose as u32, frame[0], frame[1]];
        let [a, b, c, d] = philox(counter, seed);
        let ([a, b], [c, d]) = (normal_pair(a, b), normal_pair(c, d));
        out.copy_from_slice(&[a, b, c, d][..out.len()]);
    }
}

/// Philox4x32 with ten rounds.
fn philox([mut a, mut b, mut c, mut d]: [u32; 4], [mut k, mut l]: [u32; 2]) -> [u32; 4] {
    let multiply_wide = |x: u32, by: u32| {
        let wide = u64::from(x) * u64::from(by);
        ((wide >> 32) as u32, wide as u32)
    };
    for _ in 0..10 {
        let (high_a, low_a) = multiply_wide(a, 0xD251_1F53);
        let (high_c, low_c) = multiply_wide(c, 0xCD9E_8D57);
        (a, b, c, d) = (high_c ^ b ^ k, low_c, high_a ^ d ^ l, low_a);
        k = k.wrapping_add(0x9E37_79B9);
        l = l.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// Two normal values from two random words.
fn normal_pair(a: u32, b: u32) -> [f32; 2] {
    const PART: f32 = 1.0 / 16_777_216.0;
    let radius = (-2.0 * ln(((a >> 8) as f32 + 0.5) * PART)).sqrt();
    let (sin, cos) = sin_cos_turns((b >> 8) as f32 * PART);
    [radius * cos, radius * sin]
}

/// ln x for a positive normal `f32`.
#[allow(
    clippy::excessive_precision,
    clippy::approx_constant,
    reason = "as published"
)]
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // x = m · 2^e with m in [√½, √2).
    let mut e = (bits >> 23) as i32 - 126;
    let mut m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    if m < 0.707_106_781 {
        m *= 2.0;
        e -= 1;
    }
    let (x, e) = (m - 1.0, e as f32);
    let z = x * x;
    let mut y = 7.037_683_629_2e-2;
    for c in [
        -1.151_461_031_0e-1,
        1.167_699_874_0e-1,
        -1.242_014_084_6e-1,
        1.424_932_278_7e-1,
        -1.666_805_766_5e-1,
        2.000_071_476_5e-1,
        -2.499_999_399_3e-1,
        3.333_333_117_4e-1,
    ] {
        y = y * x + c;
    }
    y = x * z * y - 2.121_944_40e-4 * e - 0.5 * z;
    x + y + 0.693_359_375 * e
}

/// Sine and cosine of 2π x for x in [0, 1).
#[allow(clippy::excessive_precision, reason = "as published")]
fn sin_cos_turns(x: f32) -> (f32, f32) {
    let quarter = (4.0 * x + 0.5).floor();
    let angle = (x - 0.25 * quarter) * std::f32::consts::TAU;
    let z = angle * angle;
    let y = (-1.951_529_589_1e-4 * z + 8.332_160_873_6e-3) * z - 1.666_665_461_1e-1;
    let sin = angle + angle * z * y;
    let y = (2.443_315_711_8e-5 * z - 1.388_731_625_5e-3) * z + 4.166_664_568_3e-2;
    let cos = 1.0 - 0.5 * z + z * z * y;
    match quarter as u32 % 4 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, frame: u64, purpose: NoisePurpose) -> Vec<f32> {
        let mut out = vec![0.0; 1000];
        fill(&mut out, seed, frame, purpose);
        out
    }

    #[test]
    fn addresses_are_independent() {
        let all = [
            draw(1, 5, NoisePurpose::Initial),
            draw(1, 5, NoisePurpose::Context),
            draw(1, 6, NoisePurpose::Initial),
            draw(2, 5, NoisePurpose::Initial),
            draw(1, u64::MAX, NoisePurpose::Context),
            draw(1, 5, NoisePurpose::Churn),
            draw(1, 5, NoisePurpose::Likelihood),
        ];
        for (i, a) in all.iter().enumerate() {
            let mean = a.iter().sum::<f32>() / 1000.0;
            let variance = a.iter().map(|x| x * x).sum::<f32>() / 1000.0;
            assert!(
                mean.abs() < 0.12 && (variance - 1.0).abs() < 0.15,
                "{mean} {variance}"
            );
            assert!(all[..i].iter().all(|b| a != b));
        }
        assert_eq!(all[0], draw(1, 5, NoisePurpose::Initial));
    }

    #[test]
    fn philox_matches_known_answers() {
        // Random123 1.14.0, kat_vectors, philox4x32 10.
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn transcendentals_are_accurate() {
        for i in 1..100_000u32 {
            let x = i as f32 / 100_000.0;
            let exact = f64::from(x).ln();
            assert!(
                (f64::from(ln(x)) - exact).abs() < 2e-7 * (1.0 + exact.abs()),
                "ln {x}"
            );
            let (sin, cos) = sin_cos_turns(x);
            let angle = f64::from(x) * std::f64::consts::TAU;
            assert!((f64::from(sin) - angle.sin()).abs() < 3e-7, "sin {x}");
            assert!((f64::from(cos) - angle.cos()).abs() < 3e-7, "cos {x}");
        }
        assert!((ln(3e-8) - 3e-8f32.ln()).abs() < 2e-6);
    }

    #[test]
    fn tails_are_normal() {
        let mut out = vec![0.0; 400_000];
        fill(&mut out, 9, 1, NoisePurpose::Initial);
        // Two-sided tail probabilities of N(0, 1).
        for (x, tail) in [(1.0, 0.317_311), (2.0, 0.045_500), (3.0, 0.002_700)] {
            let beyond = out.iter().filter(|z| z.abs() > x).count() as f64 / 4e5;
            let spread = (tail * (1.0 - tail) / 4e5f64).sqrt();
            assert!((beyond - tail).abs() < 4.0 * spread, "{x}: {beyond}");
        }
        let fourth = out.iter().map(|z| f64::from(z.powi(4))).sum::<f64>() / 4e5;
        assert!((fourth - 3.0).abs() < 0.08, "{fourth}");
        let neighbours = out.windows(2).map(|w| f64::from(w[0] * w[1])).sum::<f64>() / 4e5;
        assert!(neighbours.abs() < 0.01, "{neighbours}");
    }
}
