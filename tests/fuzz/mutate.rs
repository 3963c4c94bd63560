//! Changes to bytes and to text.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// Numbers at which readers stumble.
const INTEGERS: [u64; 18] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    1 << 24,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// The same as text, and what is none.
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "0.5",
    "1e-9",
    "255",
    "256",
    "65535",
    "65537",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "1e18",
    "1e308",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "\"x\"",
    "[]",
];

const WORDS: [&str; 16] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"\\u0000\"",
    "[[[[[[[[",
    "}",
    "\u{1b}[31m",
    "../../x",
    "/dev/zero",
    "\u{202e}",
    "#",
    ",",
    "\n",
    "\t",
];

/// Changes `bytes` in one to four places, whatever they mean.
pub fn bytes(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4) {
        change_bytes(bytes, rng);
    }
}

fn change_bytes(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    // The ends are where headers and indices are.
    let at = match rng.random_range(0..4) {
        0 => rng.random_range(0..bytes.len().min(64)),
        1 => bytes.len() - 1 - rng.random_range(0..bytes.len().min(64)),
        _ => rng.random_range(0..bytes.len()),
    };
    match rng.random_range(0..8) {
        0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes[at] = rng.random(),
        3 => {
            let number = INTEGERS
                .choose(rng)
                .copied()
                .unwrap_or_default()
                .to_le_bytes();
            let length = *[1, 2, 4, 8].choose(rng).unwrap_or(&4);
            for (byte, new) in bytes[at..].iter_mut().zip(&number[..length]) {
                *byte = *new;
            }
        }
        4 => bytes.truncate(at),
        5 => {
            let end = (at + rng.random_range(1..=16)).min(bytes.len());
            bytes.drain(at..end);
        }
        6 => {
            let end = (at + rng.random_range(1..=64)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let new: Vec<u8> = (0..rng.random_range(1..=16))
                .map(|_| rng.random())
                .collect();
            bytes.splice(at..at, new);
        }
    }
}

/// Changes text in one to four places: a number, a word, a line, a piece.
pub fn text(text: &str, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut changed = text.to_owned();
    for _ in 0..rng.random_range(1..=4) {
        changed = change_text(&changed, rng);
    }
    let mut bytes = changed.into_bytes();
    if rng.random_bool(0.1) {
        change_bytes(&mut bytes, rng);
    }
    bytes
}

fn change_text(text: &str, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..7) {
        0..=2 => {
            let numbers = tokens(text, |c| c.is_ascii_digit() || "-+.eE_".contains(c));
            let new = NUMBERS.choose(rng).copied().unwrap_or_default();
            replace(text, &numbers, new, rng)
        }
        3 => {
            let words = tokens(text, |c| c.is_alphanumeric() || "_-\"".contains(c));
            let new = WORDS.choose(rng).copied().unwrap_or_default();
            replace(text, &words, new, rng)
        }
        4 => {
            let mut lines: Vec<&str> = text.lines().collect();
            let at = rng.random_range(0..=lines.len());
            match lines.get(at).copied() {
                Some(line) if rng.random() => lines.insert(at, line),
                Some(_) => drop(lines.remove(at)),
                None => lines.push("x = 1"),
            }
            lines.join("\n")
        }
        5 => {
            // A piece of itself elsewhere.
            let chars: Vec<char> = text.chars().collect();
            let from = rng.random_range(0..=chars.len());
            let end = (from + rng.random_range(0..40)).min(chars.len());
            let to = rng.random_range(0..=chars.len());
            let mut new = chars.clone();
            new.splice(to..to, chars[from..end].iter().copied());
            new.into_iter().collect()
        }
        _ => {
            let chars: Vec<char> = text.chars().collect();
            let from = rng.random_range(0..=chars.len());
            let end = (from + rng.random_range(0..10)).min(chars.len());
            chars[..from].iter().chain(&chars[end..]).collect()
        }
    }
}

/// Byte ranges of the longest runs of what `belongs`.
fn tokens(text: &str, belongs: impl Fn(char) -> bool) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, c) in text.char_indices().filter(|&(_, c)| belongs(c)) {
        match found.last_mut() {
            Some((_, end)) if *end == at => *end += c.len_utf8(),
            _ => found.push((at, at + c.len_utf8())),
        }
    }
    found
}

fn replace(text: &str, places: &[(usize, usize)], new: &str, rng: &mut ChaCha8Rng) -> String {
    match places.choose(rng) {
        Some(&(from, to)) => format!("{}{new}{}", &text[..from], &text[to..]),
        None => format!("{text}{new}"),
    }
}
