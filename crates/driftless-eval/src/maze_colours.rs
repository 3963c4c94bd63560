//! Reads from a frame of the maze, true or predicted, which wall colour it shows most and which object. It
//! compares pixels with the simulator's palette, faded by the distance; how often it is right on true
//! frames stands beside every score.

use driftless_worlds::maze::{CEILING, DARK, FLOOR, OBJECT_PALETTE, Sight, WALL_PALETTE};

/// Shares of a colour that reach the eye from various distances; the rest is [`DARK`].
const REACHES: [f32; 7] = [1.0, 0.88, 0.77, 0.66, 0.55, 0.44, 0.33];
/// Brightest a colour is shown, in multiples of the palette's.
const MAX_LIGHT: f32 = 1.1;
/// Fewest pixels by which an object is recognized, of 64 × 64.
const MIN_OBJECT_PIXELS: usize = 24;
/// Fewest columns of a true frame that an object must fill to be asked for.
const MIN_OBJECT_COLUMNS: usize = 6;
/// Largest distance of a pixel from an object's colour, in units of 255 grey levels.
const OBJECT_TOLERANCE: f32 = 0.09;

type Colour = [f32; 3];

/// What a pixel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Wall(usize),
    Object(usize),
    Ground,
}

/// The wall colour that most columns show, by the true sights.
pub(crate) fn dominant(sights: &[Sight]) -> Option<usize> {
    let mut counts = [0; WALL_PALETTE.len()];
    for sight in sights {
        if let Sight::Wall(colour) = sight {
            counts[*colour] += 1;
        }
    }
    most(&counts, 1)
}

/// The object that fills most columns, by the true sights, if it is large enough to be asked for.
pub(crate) fn object_in_sight(sights: &[Sight]) -> Option<usize> {
    let mut counts = [0; OBJECT_PALETTE.len()];
    for sight in sights {
        if let Sight::Object(object) = sight {
            counts[*object] += 1;
        }
    }
    most(&counts, MIN_OBJECT_COLUMNS)
}

/// The wall colour that most columns of a frame show, u8 RGB `[H, W, 3]` with rows of `width` pixels.
pub(crate) fn wall_colour(image: &[u8], width: usize) -> Option<usize> {
    let height = image.len() / (3 * width).max(1);
    let mut counts = [0; WALL_PALETTE.len()];
    // At eye level, walls show neither their dark foot nor their bright band.
    for row in [height / 2 - 1, height / 2] {
        for column in 0..width {
            if let Some((Surface::Wall(colour), _)) = classify(pixel(image, row * width + column)) {
                counts[colour] += 1;
            }
        }
    }
    most(&counts, 1)
}

/// The object that fills most of a frame, if one is there.
pub(crate) fn object(image: &[u8]) -> Option<usize> {
    let mut counts = [0; OBJECT_PALETTE.len()];
    for at in 0..image.len() / 3 {
        if let Some(Surface::Object(object)) = surface(image, at) {
            counts[object] += 1;
        }
    }
    most(&counts, MIN_OBJECT_PIXELS)
}

/// What pixel `at` of a frame shows, u8 RGB; `None` if it cannot be told.
pub(crate) fn surface(image: &[u8], at: usize) -> Option<Surface> {
    match classify(pixel(image, at))? {
        (Surface::Object(_), distance) if distance >= OBJECT_TOLERANCE => None,
        (surface, _) => Some(surface),
    }
}

/// The index of the largest count, if it is at least `least`.
fn most(counts: &[usize], least: usize) -> Option<usize> {
    let all = counts.iter().enumerate().rev();
    let (index, count) = all.max_by_key(|(_, count)| **count)?;
    (*count >= least).then_some(index)
}

fn pixel(image: &[u8], at: usize) -> Colour {
    let at = image.get(3 * at..3 * at + 3).unwrap_or(&[0; 3]);
    [at[0], at[1], at[2]].map(|value| f32::from(value) / 255.0)
}

/// The surface whose colour, at some distance and in some light, is nearest to a pixel's, and how far it
/// is. `None` for a pixel that is too dark to tell.
fn classify(pixel: Colour) -> Option<(Surface, f32)> {
    let walls = WALL_PALETTE.iter().enumerate();
    let objects = OBJECT_PALETTE.iter().enumerate();
    let ground = [FLOOR, CEILING].map(|colour| (Surface::Ground, colour));
    let all = walls
        .map(|(i, colour)| (Surface::Wall(i), *colour))
        .chain(objects.map(|(i, colour)| (Surface::Object(i), *colour)))
        .chain(ground);
    if pixel.iter().sum::<f32>() < 0.3 {
        return None;
    }
    all.map(|(surface, colour)| (surface, nearest(pixel, colour)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Distance of a pixel from a colour in the best light and at the best distance.
fn nearest(pixel: Colour, colour: Colour) -> f32 {
    let square: f32 = colour.iter().map(|value| value * value).sum();
    let at = |reach: f32| {
        let own: [f32; 3] = std::array::from_fn(|i| pixel[i] - DARK[i] * (1.0 - reach));
        let along: f32 = own.iter().zip(colour).map(|(a, b)| a * b).sum();
        let light = (along / square).clamp(0.0, MAX_LIGHT * reach);
        let rest = own.iter().zip(colour).map(|(a, b)| (a - light * b).powi(2));
        rest.sum::<f32>().sqrt()
    };
    REACHES.into_iter().map(at).fold(f32::INFINITY, f32::min)
}

#[cfg(test)]
mod tests {
    use driftless_worlds::maze::Maze;
    use driftless_worlds::{Policy, PolicyAgent, Simulator};

    use super::*;

    #[test]
    fn true_frames_are_read_right() {
        let (mut walls, mut wall_hits, mut objects, mut object_hits) = (0, 0, 0, 0);
        for seed in 0..12 {
            let mut maze = Maze::new(seed);
            let mut agent = PolicyAgent::new(Policy::Scripted, &maze, seed);
            for _ in 0..60 {
                let action = agent.act(&maze);
                maze.step(action).unwrap();
                let sights = maze.columns();
                if let Some(colour) = dominant(&sights) {
                    walls += 1;
                    wall_hits += usize::from(wall_colour(maze.image(), 64) == Some(colour));
                }
                if let Some(seen) = object_in_sight(&sights) {
                    objects += 1;
                    object_hits += usize::from(object(maze.image()) == Some(seen));
                }
            }
        }
        assert!(
            walls > 600 && wall_hits * 100 >= walls * 93,
            "{wall_hits} of {walls}"
        );
        assert!(
            objects > 60 && object_hits * 100 >= objects * 93,
            "{object_hits} of {objects}"
        );
    }

    #[test]
    fn empty_frames_show_nothing() {
        assert_eq!(wall_colour(&[0; 64 * 64 * 3], 64), None);
        assert_eq!(object(&[0; 64 * 64 * 3]), None);
        assert_eq!((dominant(&[]), object_in_sight(&[])), (None, None));
    }
}
