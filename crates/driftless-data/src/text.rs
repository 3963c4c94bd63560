//! Text from files on its way to a terminal.

use std::borrow::Cow;

/// `text` on one line, without what a terminal would obey: control characters, and those that change the
/// direction of writing, become `\u{…}` or `\n`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// As [`printable`], but lines stay lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_harmful(c))
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
        assert!(matches!(printable("Pong ü"), Cow::Borrowed(_)));
    }
}
