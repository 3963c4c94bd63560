//! Frames of 64×64 RGB.

/// Height and width of a frame in pixels.
pub(super) const SIDE: usize = 64;
/// Bytes of a frame.
pub(super) const FRAME: usize = SIDE * SIDE * 3;

/// A frame in which each pixel is the mean of the 3×3 around it.
pub(super) fn blurred(frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame.len());
    for y in 0..SIDE {
        for x in 0..SIDE {
            for channel in 0..3 {
                let (mut sum, mut count) = (0_u32, 0_u32);
                for y in y.saturating_sub(1)..(y + 2).min(SIDE) {
                    for x in x.saturating_sub(1)..(x + 2).min(SIDE) {
                        sum += u32::from(frame[3 * (y * SIDE + x) + channel]);
                        count += 1;
                    }
                }
                out.push((sum / count) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_plain_frames_and_spreads_a_dot() {
        let plain = vec![90; FRAME];
        assert_eq!(blurred(&plain), plain);
        let mut dot = vec![0; FRAME];
        dot[3 * (10 * SIDE + 10)] = 90;
        let spread = blurred(&dot);
        assert_eq!(spread.iter().filter(|&&value| value == 10).count(), 9);
        assert_eq!(spread[3 * (9 * SIDE + 11)], 10);
    }
}
