//! Runtime dispatch to vector instructions.

/// The vector instructions that a loop is compiled for.
#[cfg(any(target_arch = "x86_64", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstructionSet {
    /// AVX-512.
    Avx512,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// The baseline of the architecture.
    Portable,
}

/// The best set that the CPU supports; in tests, the one that [`tests::each`] chose.
#[inline]
#[cfg(any(target_arch = "x86_64", test))]
pub(super) fn instruction_set() -> InstructionSet {
    #[cfg(test)]
    if let Some(chosen) = tests::CHOSEN.get() {
        return chosen;
    }
    detected()
}

#[inline]
#[cfg(any(target_arch = "x86_64", test))]
fn detected() -> InstructionSet {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
        {
            return InstructionSet::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return InstructionSet::Avx2;
        }
    }
    InstructionSet::Portable
}

/// Defines `fn $name(args)`, which runs `$body::<FMA>(args)` compiled for the best [`InstructionSet`].
///
/// `$body` must be `#[inline(always)]` and generic over `const FMA: bool`.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)?) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "those of the body")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "those of the body")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "those of the body")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body::<true>($($arg),*)
                }
                match $crate::cpu::simd::instruction_set() {
                    // SAFETY: `instruction_set` detected the features that `wide` needs.
                    #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
                    $crate::cpu::simd::InstructionSet::Avx512 => return unsafe { wide($($arg),*) },
                    // SAFETY: `instruction_set` detected the features that `avx2` needs.
                    #[expect(unsafe_code, reason = "calls what is compiled for detected features")]
                    $crate::cpu::simd::InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::simd::InstructionSet::Portable => {}
                }
            }
            $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}
pub(super) use vectorized;

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static CHOSEN: Cell<Option<InstructionSet>> = const { Cell::new(None) };
    }

    /// Runs `f` with each set that the CPU supports, on this thread.
    pub(in crate::cpu) fn each(mut f: impl FnMut(InstructionSet)) {
        let best = detected();
        for lanes in [
            InstructionSet::Avx512,
            InstructionSet::Avx2,
            InstructionSet::Portable,
        ] {
            let known = match lanes {
                InstructionSet::Avx512 => best == InstructionSet::Avx512,
                InstructionSet::Avx2 => best != InstructionSet::Portable,
                InstructionSet::Portable => true,
            };
            if known {
                CHOSEN.set(Some(lanes));
                f(lanes);
            }
        }
        CHOSEN.set(None);
    }
}
