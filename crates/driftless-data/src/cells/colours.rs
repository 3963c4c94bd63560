//! False colours of pictures with any number of channels.

/// What each channel adds to red, green and blue: DNA blue, actin red, tubulin green, then the mixtures.
const COLOURS: [[u16; 3]; 6] = [
    [0, 0, 1],
    [1, 0, 0],
    [0, 1, 0],
    [0, 1, 1],
    [1, 0, 1],
    [1, 1, 0],
];

/// Pictures, u8 [.., C], as RGB, u8 [.., 3]. A single channel is grey.
pub fn false_colours(pictures: &[u8], channels: usize) -> Vec<u8> {
    if channels == 1 {
        return pictures.iter().flat_map(|v| [*v; 3]).collect();
    }
    let pixels = pictures.chunks_exact(channels.max(1));
    let colour = |pixel: &[u8], i: usize| {
        let parts = pixel
            .iter()
            .zip(COLOURS)
            .map(|(v, colour)| u16::from(*v) * colour[i]);
        parts.sum::<u16>().min(255) as u8
    };
    pixels
        .flat_map(|pixel| [0, 1, 2].map(|i| colour(pixel, i)))
        .collect()
}
