//! Connected components of masks.

/// Which pixels are neighbours of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// The four that share a side with it.
    Sides,
    /// The eight that share a side or a corner with it.
    SidesAndCorners,
}

impl Neighbours {
    /// Steps in rows and columns.
    fn steps(self) -> &'static [(isize, isize)] {
        const ALL: [(isize, isize); 8] = [
            (-1, 0),
            (1, 0),
            (0, -1),
            (0, 1),
            (-1, -1),
            (-1, 1),
            (1, -1),
            (1, 1),
        ];
        match self {
            Self::Sides => &ALL[..4],
            Self::SidesAndCorners => &ALL,
        }
    }
}

/// The connected components of a mask with rows of `width` pixels, each as the indices of its pixels.
pub fn components(mask: &[bool], width: usize, neighbours: Neighbours) -> Vec<Vec<usize>> {
    let height = mask.len() / width.max(1);
    let mut left = mask.to_vec();
    let mut components = Vec::new();
    for start in 0..left.len() {
        if !std::mem::take(&mut left[start]) {
            continue;
        }
        let (mut component, mut open) = (Vec::new(), vec![start]);
        while let Some(at) = open.pop() {
            component.push(at);
            let (y, x) = (at / width, at % width);
            for &(down, right) in neighbours.steps() {
                let row = y.checked_add_signed(down).filter(|row| *row < height);
                let column = x.checked_add_signed(right).filter(|column| *column < width);
                if let (Some(row), Some(column)) = (row, column) {
                    let next = row * width + column;
                    if std::mem::take(&mut left[next]) {
                        open.push(next);
                    }
                }
            }
        }
        components.push(component);
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_join_only_if_they_count() {
        let mask: Vec<bool> = "##..#.#......###"
            .chars()
            .map(|pixel| pixel == '#')
            .collect();
        let sizes = |neighbours| -> Vec<usize> {
            let found = components(&mask, 4, neighbours);
            found.iter().map(Vec::len).collect()
        };
        // ##..
        // #.#.
        // ....
        // .###
        assert_eq!(sizes(Neighbours::Sides), [3, 1, 3]);
        assert_eq!(sizes(Neighbours::SidesAndCorners), [4, 3]);
        assert!(components(&[], 0, Neighbours::Sides).is_empty());
    }
}
