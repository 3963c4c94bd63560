//! The actions of the Atari games, by name: a checkpoint holds only their number.

use driftless_data::ActionSpec;

/// Frames a second: four of the console's sixty a step.
pub const FPS: f32 = 15.0;

/// All actions of the console, in the order of the Arcade Learning Environment. Its own names are in upper case.
const ALL: [&str; 18] = [
    "noop",
    "fire",
    "up",
    "right",
    "left",
    "down",
    "upright",
    "upleft",
    "downright",
    "downleft",
    "upfire",
    "rightfire",
    "leftfire",
    "downfire",
    "uprightfire",
    "upleftfire",
    "downrightfire",
    "downleftfire",
];

/// Games of which agents are published that know fewer actions, with those: the Arcade Learning Environment's minimal
/// sets, as indices of [`ALL`].
const MINIMAL: [(&str, &[usize]); 13] = [
    ("Amidar", &[0, 1, 2, 3, 4, 5, 10, 11, 12, 13]),
    ("Assault", &[0, 1, 2, 3, 4, 11, 12]),
    ("Asterix", &[0, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("Breakout", &[0, 1, 3, 4]),
    ("CrazyClimber", &[0, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("DemonAttack", &[0, 1, 3, 4, 11, 12]),
    ("Freeway", &[0, 2, 5]),
    ("Gopher", &[0, 1, 2, 3, 4, 10, 11, 12]),
    (
        "KungFuMaster",
        &[0, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14, 15, 16, 17],
    ),
    ("MsPacman", &[0, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("Pong", &[0, 1, 3, 4, 11, 12]),
    ("Qbert", &[0, 1, 2, 3, 4, 5]),
    ("UpNDown", &[0, 1, 2, 5, 10, 13]),
];

/// The actions of the game that a file is named after, if it has so many; else all of the console's if there are 18,
/// else numbered ones. Arrow keys or W, A, S and D move, space fires; two at once are one action.
pub fn actions(name: &str, count: usize) -> Vec<ActionSpec> {
    let minimal = MINIMAL
        .iter()
        .find(|(game, actions)| game.eq_ignore_ascii_case(name) && actions.len() == count);
    match minimal {
        Some((_, actions)) => actions.iter().map(|&index| named(ALL[index])).collect(),
        None if count == ALL.len() => ALL.map(named).to_vec(),
        None => (0..count).map(numbered).collect(),
    }
}

fn named(name: &str) -> ActionSpec {
    let parts = [
        ("up", ["ArrowUp", "W"]),
        ("down", ["ArrowDown", "S"]),
        ("right", ["ArrowRight", "D"]),
        ("left", ["ArrowLeft", "A"]),
        ("fire", ["Space", "Space"]),
    ];
    let held: Vec<[&str; 2]> = parts
        .iter()
        .filter(|(part, _)| name.contains(part))
        .map(|(_, keys)| *keys)
        .collect();
    let mut keys: Vec<String> = Vec::new();
    for set in [0, 1] {
        let chord = held
            .iter()
            .map(|keys| keys[set])
            .collect::<Vec<_>>()
            .join("+");
        if !chord.is_empty() && !keys.contains(&chord) {
            keys.push(chord);
        }
    }
    ActionSpec {
        name: name.to_owned(),
        keys,
    }
}

/// An action of an unknown game: the first ten are on the digits.
fn numbered(index: usize) -> ActionSpec {
    let keys = if (1..10).contains(&index) {
        vec![index.to_string()]
    } else {
        Vec::new()
    };
    let name = if index == 0 {
        "noop".to_owned()
    } else {
        format!("action {index}")
    };
    ActionSpec { name, keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(actions: &[ActionSpec], name: &str) -> Vec<String> {
        let action = actions.iter().find(|action| action.name == name);
        action.unwrap().keys.clone()
    }

    #[test]
    fn games_have_their_own_actions() {
        let pong = actions("pong", 6);
        let names: Vec<&str> = pong.iter().map(|action| action.name.as_str()).collect();
        assert_eq!(
            names,
            ["noop", "fire", "right", "left", "rightfire", "leftfire"]
        );
        assert_eq!(keys(&pong, "noop"), [""; 0]);
        assert_eq!(keys(&pong, "fire"), ["Space"]);
        assert_eq!(keys(&pong, "rightfire"), ["ArrowRight+Space", "D+Space"]);
    }

    #[test]
    fn console_has_eighteen_actions() {
        let all = actions("Alien", 18);
        assert_eq!(all.len(), 18);
        assert_eq!(
            keys(&all, "downleftfire"),
            ["ArrowDown+ArrowLeft+Space", "S+A+Space"]
        );
    }

    #[test]
    fn other_games_have_numbers() {
        // A name that is known, with another number of actions.
        let unknown = actions("Pong", 12);
        assert_eq!(unknown[0].name, "noop");
        assert_eq!(keys(&unknown, "action 9"), ["9"]);
        assert_eq!(keys(&unknown, "action 11"), [""; 0]);
    }
}
