//! The forms in which arrays hold images: RGB or grey, channels last or first, one or a stack of the
//! latest.

/// Most images in a stack.
const MAX_STACK: usize = 16;
/// Whatever is not larger looks like a grid of codes, as in MiniGrid's observations.
const TINY_SIDE: usize = 11;
/// Sides of images are longer than this where an axis could also be a stack.
const MIN_STACKED_SIDE: usize = 17;

/// Where the values of an image lie in one row of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLayout {
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// Images per row, of which the last is read.
    pub stack: usize,
    /// Where the image begins.
    offset: usize,
    /// Distances between rows, pixels and channels; that between channels is 0 in grey images.
    strides: [usize; 3],
}

impl ImageLayout {
    /// The layout of an array's rows of this shape (without the axis of time); `None` if they are not
    /// images.
    pub fn of(shape: &[usize]) -> Option<Self> {
        if shape.contains(&0) {
            return None;
        }
        let may_stack = |k: usize, h: usize, w: usize| {
            (2..=MAX_STACK).contains(&k) && h.min(w) >= MIN_STACKED_SIDE
        };
        let image = |height, width, strides| Self {
            size: [height, width],
            stack: 1,
            offset: 0,
            strides,
        };
        match *shape {
            [h, w] => Some(image(h, w, [w, 1, 0])),
            [h, w, 3] => Some(image(h, w, [3 * w, 3, 1])),
            [h, w, 1] | [1, h, w] => Some(image(h, w, [w, 1, 0])),
            [3, h, w] => Some(image(h, w, [w, 1, h * w])),
            [h, w, k] if may_stack(k, h, w) => Some(Self {
                stack: k,
                offset: k - 1,
                ..image(h, w, [k * w, k, 0])
            }),
            [k, h, w] if may_stack(k, h, w) => Some(Self {
                stack: k,
                offset: (k - 1) * h * w,
                ..image(h, w, [w, 1, 0])
            }),
            [k, ref rest @ ..] if rest.len() == 3 && k <= MAX_STACK => {
                let last = Self::of(rest).filter(|last| last.stack == 1)?;
                let len: usize = rest.iter().product();
                Some(Self {
                    stack: k,
                    offset: (k - 1) * len,
                    ..last
                })
            }
            _ => None,
        }
    }

    /// Replaces `rgb` by the image in `row`, RGB `[height, width, 3]`. `row` has the shape that the
    /// layout was made of.
    pub fn read(&self, row: &[u8], rgb: &mut Vec<u8>) {
        rgb.clear();
        let [height, width] = self.size;
        let [next_row, next_pixel, next_channel] = self.strides;
        for y in 0..height {
            for x in 0..width {
                let at = self.offset + y * next_row + x * next_pixel;
                rgb.extend((0..3).map(|channel| row[at + channel * next_channel]));
            }
        }
    }

    /// What was guessed about the images, or looks wrong, if anything.
    pub fn remark(&self) -> Option<String> {
        let (stack, [height, width]) = (self.stack, self.size);
        if stack > 1 {
            let what = format!("{stack} images at a time, of which the last was taken");
            return Some(what);
        }
        (height.max(width) <= TINY_SIDE).then(|| {
            format!("{height}×{width} values: are these images, not the codes of a grid's cells?")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(shape: &[usize]) -> Vec<u8> {
        let row: Vec<u8> = (0..shape.iter().product::<usize>())
            .map(|i| (i % 251) as u8)
            .collect();
        let mut rgb = Vec::new();
        ImageLayout::of(shape).unwrap().read(&row, &mut rgb);
        rgb
    }

    #[test]
    fn channels_come_last_first_or_not_at_all() {
        assert_eq!(rgb(&[1, 2, 3]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(rgb(&[3, 2, 2])[..6], [0, 4, 8, 1, 5, 9]);
        for grey in [&[2, 2][..], &[2, 2, 1], &[1, 2, 2]] {
            assert_eq!(rgb(grey), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], "{grey:?}");
        }
    }

    #[test]
    fn last_of_a_stack_is_read() {
        let side = 20;
        let first = |shape: &[usize]| rgb(shape)[..6].to_vec();
        let last = (3 * side * side % 251) as u8;
        let next = last + 1;
        assert_eq!(
            first(&[4, side, side]),
            [last, last, last, next, next, next]
        );
        assert_eq!(first(&[side, side, 4]), [3, 3, 3, 7, 7, 7]);
        let last = (side * side * 3 % 251) as u8;
        assert_eq!(first(&[2, side, side, 3])[..3], [last, last + 1, last + 2]);
        let layout = ImageLayout::of(&[4, side, side]).unwrap();
        assert!(layout.remark().unwrap().contains("4 images"));
        let codes = ImageLayout::of(&[7, 7, 3]).unwrap().remark();
        assert!(codes.unwrap().contains("7×7 values"));
        assert_eq!(ImageLayout::of(&[64, 48, 3]).unwrap().remark(), None);
    }

    #[test]
    fn other_shapes_are_not_images() {
        for shape in [&[][..], &[7], &[0, 4], &[4, 4, 4], &[2, 2, 2, 2, 2]] {
            assert_eq!(ImageLayout::of(shape), None, "{shape:?}");
        }
    }
}
