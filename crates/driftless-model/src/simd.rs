//! Portable loops for the compiler to vectorize, compiled twice: for AVX2 with fused multiply-add,
//! chosen at run time if the processor has it, and for the baseline.

/// Defines `fn $name(args)`, which runs `$body::<FMA>(args)` compiled for the best instruction set.
///
/// `$body` must be `#[inline(always)]` and generic over `const FMA: bool`.
#[macro_export]
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)?) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "those of the body")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "those of the body")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    $body::<true>($($arg),*)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has the features that `wide` is compiled for.
                    #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
                    return unsafe { wide($($arg),*) };
                }
            }
            $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}
pub use crate::dispatch;

/// As [`dispatch!`], and compiled a third time for AVX-512, for loops that are worth it.
#[macro_export]
macro_rules! dispatch_avx512 {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident ( $($arg:ident : $ty:ty),* $(,)? )) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "those of the body")]
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,fma")]
                #[allow(clippy::too_many_arguments, reason = "those of the body")]
                fn widest($($arg: $ty),*) {
                    $body::<true>($($arg),*)
                }
                let features = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq");
                if features && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has the features that `widest` is compiled for.
                    #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
                    return unsafe { widest($($arg),*) };
                }
            }
            $crate::dispatch!(fn narrower = $body($($arg: $ty),*));
            narrower($($arg),*)
        }
    };
}
pub use crate::dispatch_avx512;

/// a·b + c, fused if the instruction set has it.
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ to about 2 ulp for x in [−87, 88] (clamped outside), without branches or calls.
///
/// Cody–Waite reduction to |r| ≤ ln 2 / 2 and the degree-6 minimax polynomial of Cephes `expf`.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(-n, LN2_HIGH, x);
    let r = fma::<FMA>(-n, LN2_LOW, r);
    let mut p = 1.987_569_1e-4;
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5.0e-1,
    ] {
        p = fma::<FMA>(p, r, c);
    }
    let y = fma::<FMA>(p, r * r, r) + 1.0;
    // The low bits of `shifted` hold n. Casting n instead would add a saturation check per lane.
    y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Logistic function 1/(1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// Σ aᵢ bᵢ, accumulated in eight partial sums.
#[inline(always)]
pub fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] = fma::<FMA>(a[i], b[i], sums[i]);
        }
    }
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest = fma::<FMA>(*a, *b, rest);
    }
    let pairs = [
        sums[0] + sums[4],
        sums[1] + sums[5],
        sums[2] + sums[6],
        sums[3] + sums[7],
    ];
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]) + rest
}

/// y ← y + a·x.
#[inline(always)]
pub fn axpy<const FMA: bool>(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = fma::<FMA>(a, *x, *y);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn exp_matches_std() {
        for i in -8700..=8800 {
            let x = i as f32 * 0.01;
            let (ours, exact) = (super::exp::<true>(x), f64::from(x).exp());
            let error = (f64::from(ours) - exact).abs() / exact;
            assert!(error < 3e-7, "exp({x}) = {ours}, exact {exact}");
        }
    }

    #[test]
    fn dot_handles_odd_lengths() {
        let a: Vec<f32> = (1..=19).map(|x| x as f32).collect();
        assert_eq!(super::dot::<true>(&a, &a), 2470.0);
        assert_eq!(super::dot::<false>(&a, &a), 2470.0);
    }
}
