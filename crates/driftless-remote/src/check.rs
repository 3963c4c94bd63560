//! What a server says about a world, checked before it is used.

use driftless_data::{AxisSpec, check_axes};
use driftless_serve::protocol::WorldInfo;

/// The most worlds, actions, keys of an action and settings.
const MOST: usize = 256;
/// The longest name.
const MAX_NAME_BYTES: usize = 256;
/// The longest side of a picture, and the most pixels.
const MAX_SIDE: usize = 4096;
const MAX_PIXELS: usize = 1 << 22;

/// Says what is wrong with a server's worlds, if anything.
pub fn worlds(worlds: &[WorldInfo]) -> Result<(), String> {
    if worlds.is_empty() || worlds.len() > MOST {
        return Err(format!("{} worlds, expected 1 to {MOST}", worlds.len()));
    }
    worlds.iter().try_for_each(world)
}

fn world(info: &WorldInfo) -> Result<(), String> {
    name("a world", &info.name)?;
    name("a title", &info.title)?;
    let world = &info.name;
    let [height, width] = info.image;
    let sides = 1..=MAX_SIDE;
    let fits = sides.contains(&height) && sides.contains(&width) && height * width <= MAX_PIXELS;
    if !fits {
        return Err(format!(
            "the world {world} with pictures of {width}×{height}, expected at most {MAX_PIXELS} pixels"
        ));
    }
    if !(info.fps > 0.0 && info.fps <= 1000.0) {
        let fps = info.fps;
        return Err(format!(
            "the world {world} with {fps} frames/s, expected above 0, at most 1000"
        ));
    }
    let counts = [
        ("actions", info.actions.len()),
        ("starting clips", info.clips.min(MOST)),
        ("settings", info.settings.len()),
    ];
    for (what, count) in counts {
        if count == 0 || count > MOST {
            return Err(format!(
                "the world {world} with {count} {what}, expected 1 to {MOST}"
            ));
        }
    }
    for action in &info.actions {
        name("an action", &action.name)?;
        keys(&action.keys)?;
    }
    check_axes(&info.axes)?;
    for AxisSpec {
        name: axis,
        negative,
        positive,
        ..
    } in &info.axes
    {
        name("an axis", axis)?;
        keys(negative)?;
        keys(positive)?;
    }
    Ok(())
}

fn keys(keys: &[String]) -> Result<(), String> {
    if keys.len() > MOST {
        return Err(format!("{} keys of an action, expected {MOST}", keys.len()));
    }
    keys.iter().try_for_each(|key| name("a key", key))
}

/// Names are shown, and become those of files.
fn name(what: &str, name: &str) -> Result<(), String> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let length = name.len();
    Err(format!(
        "the name of {what} with {length} bytes, expected 1 to {MAX_NAME_BYTES}, without control characters"
    ))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A world as a server describes it.
    pub fn described() -> Value {
        json!({
            "name": "pong", "title": "Pong", "fps": 15.0, "image": [64, 48],
            "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["ArrowUp"]}],
            "clips": 3, "truth": false, "ends": true,
            "settings": [{"name": "steps", "label": "Steps", "help": "", "kind": "number",
                "min": 1.0, "max": 16.0, "step": 1.0, "decimals": 0}],
            "defaults": {"steps": 4},
        })
    }

    fn checked(change: impl Fn(&mut Value)) -> Result<(), String> {
        let mut value = described();
        change(&mut value);
        worlds(&[serde_json::from_value(value).unwrap()])
    }

    #[test]
    fn impossible_worlds_are_named() {
        assert_eq!(checked(|_| {}), Ok(()));
        assert!(worlds(&[]).unwrap_err().contains("0 worlds"));
        for (key, value, expected) in [
            ("image", json!([64, 100_000]), "100000×64"),
            ("image", json!([4096, 4096]), "4096×4096"),
            ("image", json!([0, 64]), "64×0"),
            ("fps", json!(0.0), "0 frames/s"),
            ("fps", json!(1e30), "frames/s"),
            ("actions", json!([]), "0 actions"),
            ("clips", json!(0), "0 starting clips"),
            ("settings", json!([]), "0 settings"),
            ("title", json!("\u{1b}[2J"), "a title"),
            ("name", json!("n".repeat(300)), "a world with 300 bytes"),
            (
                "axes",
                json!([{"name": "wheel", "range": [1.0, 1.0]}]),
                "wheel",
            ),
        ] {
            let error = checked(|world| world[key] = value.clone()).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
