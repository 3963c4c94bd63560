//! Text on its way to a terminal or a window: what comes from files, numbers, plurals.

use std::borrow::Cow;

/// `text` on one line, without what a terminal would obey: control characters, and those that change the
/// direction of writing, become `\u{…}` or `\n`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// As [`printable`], but a line break becomes a space: it comes from a library's message, or does no harm so.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\r']) {
        return printable(text);
    }
    let joined = text.replace("\r\n", " ").replace(['\n', '\r'], " ");
    Cow::Owned(printable(&joined).into_owned())
}

/// As [`printable`], but lines stay lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_harmful(c))
}

/// `1 episode`, `2 episodes`.
pub fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// A number to be read: with up to four digits that count, and no fewer than those before the point.
pub fn rounded(value: f64) -> String {
    const DIGITS: f64 = 4.0;
    const MOST_DECIMALS: f64 = 12.0;
    // Adding 0 makes -0 a 0.
    let value = value + 0.0;
    if !value.is_finite() {
        return value.to_string();
    }
    let before_point = value.abs().log10().floor() + 1.0;
    let decimals = (DIGITS - before_point).clamp(0.0, MOST_DECIMALS) as usize;
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

fn escaped(text: &str, harmful: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_harmful(c: char) -> bool {
    let separates_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_text = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates_lines || turns_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let text = "Pong ü\u{1b}]0;x\u{7}\r\n\0\u{9b}\u{202e}z";
        assert_eq!(
            printable(text),
            r"Pong ü\u{1b}]0;x\u{7}\r\n\u{0}\u{9b}\u{202e}z"
        );
        assert_eq!(printable_lines("a\nb\tc"), "a\nb\\tc");
        assert_eq!(one_line("a\r\nb\nc\x07"), r"a b c\u{7}");
        assert!(matches!(printable("Pong ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn numbers_have_four_digits_or_are_whole() {
        for (value, expected) in [
            (0.1 + 0.2, "0.3"),
            (-12.345_678_9, "-12.35"),
            (0.001_234_56, "0.001235"),
            (0.999_99, "1"),
            (1_234_567.4, "1234567"),
            (100.0, "100"),
            (-0.0, "0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(rounded(value), expected);
        }
        assert_eq!(counted(1, "frame"), "1 frame");
        assert_eq!(counted(0, "frame"), "0 frames");
    }
}
