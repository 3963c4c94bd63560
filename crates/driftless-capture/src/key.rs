//! The keys that can be recorded: their names, and the keys that stand for them when the world is played.

use std::fmt;

use crate::{Error, Result};

/// A key of the keyboard or a button of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

/// The most keys of a capture: as many as [`KeySet`] has bits.
pub const MAX_KEYS: usize = 128;

/// Some of the chosen keys: bit i is the i-th of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySet(pub u128);

impl KeySet {
    /// Whether no key is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the i-th chosen key is in it.
    pub fn contains(self, i: usize) -> bool {
        u32::try_from(i).is_ok_and(|i| self.0.checked_shr(i).is_some_and(|bits| bits & 1 == 1))
    }

    /// The indices of the keys in it.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..MAX_KEYS).filter(move |&i| self.contains(i))
    }

    /// The keys of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds or removes the i-th chosen key.
    pub fn set(&mut self, i: usize, down: bool) {
        let bit = u32::try_from(i).ok().and_then(|i| 1_u128.checked_shl(i));
        let bit = bit.unwrap_or(0);
        self.0 = if down { self.0 | bit } else { self.0 & !bit };
    }
}

/// A key to record, and the key that plays it in the learned world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenKey {
    /// The key in the game.
    pub key: Key,
    /// Its name in Driftless's window.
    pub play: String,
}

impl ChosenKey {
    /// Reads `NAME` or `NAME=PLAY`: a key of the game, and the key that plays it.
    ///
    /// # Errors
    /// Returns an error if a key is unknown, or if the game's key cannot be held in Driftless's window and no
    /// other is given.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, play) = match text.split_once('=') {
            Some((name, play)) => (name, Some(Key::parse(play)?)),
            None => (text, None),
        };
        let key = Key::parse(name)?;
        match play.unwrap_or(key).play() {
            Some(play) => Ok(Self {
                key,
                play: play.to_owned(),
            }),
            None => {
                let name = play.unwrap_or(key);
                let what = format!(
                    "`{name}` cannot play a world: name the key that does, for example {key}=F"
                );
                Err(Error::Argument(what))
            }
        }
    }

    /// Chooses keys with their own for play; those that have none, or one that is taken, get a free letter.
    ///
    /// # Errors
    /// Returns an error if there are no keys.
    pub fn for_keys(keys: &[Key]) -> Result<Vec<Self>> {
        const LETTERS: [&str; 12] = ["F", "G", "H", "J", "K", "L", "V", "B", "N", "M", "R", "T"];
        let mut taken: Vec<&str> = keys.iter().filter_map(|key| key.play()).collect();
        let mut chosen: Vec<Self> = Vec::new();
        for &key in keys {
            let own = key
                .play()
                .filter(|own| chosen.iter().all(|one| one.play != *own));
            let free = || LETTERS.into_iter().find(|letter| !taken.contains(letter));
            let play = own.or_else(free).unwrap_or_default();
            taken.push(play);
            let play = play.to_owned();
            chosen.push(Self { key, play });
        }
        check_keys(&chosen)?;
        Ok(chosen)
    }

    /// Reads a list of keys, separated by commas.
    ///
    /// # Errors
    /// As [`ChosenKey::parse`], or if a key occurs twice or none is given.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let keys: Vec<Self> = names.map(Self::parse).collect::<Result<_>>()?;
        check_keys(&keys)?;
        Ok(keys)
    }
}

/// Checks that there are keys, and that each is recorded and played once.
///
/// # Errors
/// Returns an error that names the key.
pub(crate) fn check_keys(keys: &[ChosenKey]) -> Result<()> {
    if keys.is_empty() {
        return Err(Error::Argument(
            "no keys are chosen, expected at least one".into(),
        ));
    }
    for (i, one) in keys.iter().enumerate() {
        if keys[..i].iter().any(|other| other.key == one.key) {
            return Err(Error::Argument(format!(
                "the key `{}` is chosen twice",
                one.key
            )));
        }
        if let Some(other) = keys[..i].iter().find(|other| other.play == one.play) {
            let what = format!(
                "`{}` and `{}` would both be played by {}: give one another, for example {}=F",
                other.key, one.key, one.play, one.key
            );
            return Err(Error::Argument(what));
        }
    }
    Ok(())
}

impl Key {
    /// All keys that can be recorded.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ROWS.len()).filter_map(|i| u8::try_from(i).ok().map(Self))
    }

    /// Finds a key by its name on X11 (`Left`, `space`, `Control_L`) or in Driftless (`ArrowLeft`, `Space`), in
    /// any case. The mouse's buttons are `mouse1` to `mouse3`.
    ///
    /// # Errors
    /// Returns an error that names the key if there is none.
    pub fn parse(name: &str) -> Result<Self> {
        let name = name.trim();
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        let named = |key: &Self| is(&key.row().name) || key.row().aliases.iter().any(&is);
        let played = |key: &Self| key.play().is_some_and(|play| is(&play));
        Self::all().find(named).or_else(|| Self::all().find(played)).ok_or_else(|| {
            let what = format!(
                "unknown key `{name}`, expected names such as Left, space, a, Return, Control_L or mouse1"
            );
            Error::Argument(what)
        })
    }

    /// The key's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name of the same key in Driftless's window; `None` for those that cannot be held there.
    pub fn play(self) -> Option<&'static str> {
        Some(self.row().play).filter(|play| !play.is_empty())
    }

    /// The button of the mouse, from 1, if it is one.
    pub fn button(self) -> Option<u32> {
        self.name().strip_prefix("mouse")?.parse().ok()
    }

    /// X11's number of the symbol on the key (keysym); `None` for the mouse.
    pub fn keysym(self) -> Option<u32> {
        Some(self.row().keysym).filter(|&keysym| keysym != 0)
    }

    fn row(self) -> &'static Row {
        &ROWS[usize::from(self.0)]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a key.
struct Row {
    name: &'static str,
    keysym: u32,
    /// Its name in egui; empty if it has none.
    play: &'static str,
    aliases: &'static [&'static str],
}

const fn row(
    name: &'static str,
    keysym: u32,
    play: &'static str,
    aliases: &'static [&'static str],
) -> Row {
    Row {
        name,
        keysym,
        play,
        aliases,
    }
}

/// The keys, with the numbers of `keysymdef.h` and the names of egui.
static ROWS: [Row; 101] = [
    row("a", 0x61, "A", &[]),
    row("b", 0x62, "B", &[]),
    row("c", 0x63, "C", &[]),
    row("d", 0x64, "D", &[]),
    row("e", 0x65, "E", &[]),
    row("f", 0x66, "F", &[]),
    row("g", 0x67, "G", &[]),
    row("h", 0x68, "H", &[]),
    row("i", 0x69, "I", &[]),
    row("j", 0x6a, "J", &[]),
    row("k", 0x6b, "K", &[]),
    row("l", 0x6c, "L", &[]),
    row("m", 0x6d, "M", &[]),
    row("n", 0x6e, "N", &[]),
    row("o", 0x6f, "O", &[]),
    row("p", 0x70, "P", &[]),
    row("q", 0x71, "Q", &[]),
    row("r", 0x72, "R", &[]),
    row("s", 0x73, "S", &[]),
    row("t", 0x74, "T", &[]),
    row("u", 0x75, "U", &[]),
    row("v", 0x76, "V", &[]),
    row("w", 0x77, "W", &[]),
    row("x", 0x78, "X", &[]),
    row("y", 0x79, "Y", &[]),
    row("z", 0x7a, "Z", &[]),
    row("0", 0x30, "0", &["Num0"]),
    row("1", 0x31, "1", &["Num1"]),
    row("2", 0x32, "2", &["Num2"]),
    row("3", 0x33, "3", &["Num3"]),
    row("4", 0x34, "4", &["Num4"]),
    row("5", 0x35, "5", &["Num5"]),
    row("6", 0x36, "6", &["Num6"]),
    row("7", 0x37, "7", &["Num7"]),
    row("8", 0x38, "8", &["Num8"]),
    row("9", 0x39, "9", &["Num9"]),
    row("F1", 0xffbe, "F1", &[]),
    row("F2", 0xffbf, "F2", &[]),
    row("F3", 0xffc0, "F3", &[]),
    row("F4", 0xffc1, "F4", &[]),
    row("F5", 0xffc2, "F5", &[]),
    row("F6", 0xffc3, "F6", &[]),
    row("F7", 0xffc4, "F7", &[]),
    row("F8", 0xffc5, "F8", &[]),
    row("F9", 0xffc6, "F9", &[]),
    row("F10", 0xffc7, "F10", &[]),
    row("F11", 0xffc8, "F11", &[]),
    row("F12", 0xffc9, "F12", &[]),
    row("Left", 0xff51, "ArrowLeft", &[]),
    row("Up", 0xff52, "ArrowUp", &[]),
    row("Right", 0xff53, "ArrowRight", &[]),
    row("Down", 0xff54, "ArrowDown", &[]),
    row("space", 0x20, "Space", &[]),
    row("Return", 0xff0d, "Enter", &[]),
    row("Tab", 0xff09, "Tab", &[]),
    row("Escape", 0xff1b, "Escape", &["Esc"]),
    row("BackSpace", 0xff08, "Backspace", &[]),
    row("Delete", 0xffff, "Delete", &[]),
    row("Insert", 0xff63, "Insert", &[]),
    row("Home", 0xff50, "Home", &[]),
    row("End", 0xff57, "End", &[]),
    row("Prior", 0xff55, "PageUp", &["Page_Up"]),
    row("Next", 0xff56, "PageDown", &["Page_Down"]),
    row("comma", 0x2c, "Comma", &[]),
    row("minus", 0x2d, "Minus", &[]),
    row("period", 0x2e, "Period", &[]),
    row("slash", 0x2f, "Slash", &[]),
    row("semicolon", 0x3b, "Semicolon", &[]),
    row("equal", 0x3d, "Equals", &[]),
    row("bracketleft", 0x5b, "OpenBracket", &[]),
    row("backslash", 0x5c, "Backslash", &[]),
    row("bracketright", 0x5d, "CloseBracket", &[]),
    row("grave", 0x60, "Backtick", &[]),
    row("apostrophe", 0x27, "Quote", &[]),
    row("KP_0", 0xffb0, "0", &[]),
    row("KP_1", 0xffb1, "1", &[]),
    row("KP_2", 0xffb2, "2", &[]),
    row("KP_3", 0xffb3, "3", &[]),
    row("KP_4", 0xffb4, "4", &[]),
    row("KP_5", 0xffb5, "5", &[]),
    row("KP_6", 0xffb6, "6", &[]),
    row("KP_7", 0xffb7, "7", &[]),
    row("KP_8", 0xffb8, "8", &[]),
    row("KP_9", 0xffb9, "9", &[]),
    row("KP_Enter", 0xff8d, "Enter", &[]),
    row("KP_Add", 0xffab, "Plus", &[]),
    row("KP_Subtract", 0xffad, "Minus", &[]),
    row("KP_Divide", 0xffaf, "Slash", &[]),
    row("KP_Decimal", 0xffae, "Period", &[]),
    row("Shift_L", 0xffe1, "", &["Shift"]),
    row("Shift_R", 0xffe2, "", &[]),
    row("Control_L", 0xffe3, "", &["Control", "Ctrl"]),
    row("Control_R", 0xffe4, "", &[]),
    row("Alt_L", 0xffe9, "", &["Alt"]),
    row("Alt_R", 0xffea, "", &[]),
    row("KP_Multiply", 0xffaa, "", &[]),
    row("Pause", 0xff13, "", &[]),
    row("Scroll_Lock", 0xff14, "", &[]),
    row("mouse1", 0x0, "", &[]),
    row("mouse2", 0x0, "", &[]),
    row("mouse3", 0x0, "", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_keys() {
        assert!(ROWS.len() <= MAX_KEYS);
        for key in Key::all() {
            assert_eq!(Key::parse(key.name()).unwrap(), key);
            assert!(key.keysym().is_some() != key.button().is_some(), "{key}");
        }
        for (name, expected) in [
            ("ARROWLEFT", "Left"),
            ("ctrl", "Control_L"),
            ("7", "7"),
            (" W ", "w"),
        ] {
            assert_eq!(Key::parse(name).unwrap().name(), expected);
        }
        let error = Key::parse("Lfet").unwrap_err().to_string();
        assert!(error.contains("unknown key `Lfet`"), "{error}");
    }

    #[test]
    fn chosen_keys_have_a_key_for_play() {
        let keys = ChosenKey::parse_list("Left, space,Control_L=F,mouse1=j").unwrap();
        let play: Vec<&str> = keys.iter().map(|key| key.play.as_str()).collect();
        assert_eq!(play, ["ArrowLeft", "Space", "F", "J"]);
        for (text, expected) in [
            ("", "no keys are chosen"),
            ("Left,left", "`Left` is chosen twice"),
            (
                "Control_L",
                "name the key that does, for example Control_L=F",
            ),
            ("a=Shift_L", "`Shift_L` cannot play a world"),
            ("f,Control_L=F", "would both be played by F"),
        ] {
            let error = ChosenKey::parse_list(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn learned_keys_get_keys_for_play() {
        let key = |name| Key::parse(name).unwrap();
        let keys = [
            key("f"),
            key("Control_L"),
            key("KP_5"),
            key("5"),
            key("mouse1"),
        ];
        let keys = ChosenKey::for_keys(&keys).unwrap();
        let play: Vec<&str> = keys.iter().map(|key| key.play.as_str()).collect();
        assert_eq!(play, ["F", "G", "5", "H", "J"]);
        assert!(ChosenKey::for_keys(&[]).is_err());
    }

    #[test]
    fn sets_hold_every_index() {
        let mut set = KeySet::default();
        for i in [0, 63, 127] {
            set.set(i, true);
        }
        assert_eq!(set.indices().collect::<Vec<_>>(), [0, 63, 127]);
        set.set(63, false);
        set.set(500, true);
        assert!(!set.contains(63) && !set.contains(500) && set.contains(127));
    }
}
