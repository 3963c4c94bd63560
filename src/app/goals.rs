//! What to do in a world, in one line.

use driftless_worlds::SimulatorKind;

/// The goal of an included world or a simulator, by its name. A world that was trained on a simulator
/// and has its name has its goal, too.
pub(super) fn goal(world: &str) -> Option<&'static str> {
    Some(match world {
        "Pong" => "Send the ball past the paddle on the left, and let none past yours.",
        "Breakout" => "Serve the ball, keep it in play, and break every brick.",
        "Doom: take cover" => "Step aside from the fireballs for as long as you can.",
        _ => {
            let mut simulators = SimulatorKind::ALL.into_iter();
            simulators.find(|kind| kind.title() == world)?.goal()
        }
    })
}

/// What is said about a world without a goal of its own.
pub(super) fn description(learned: bool) -> &'static str {
    if learned {
        "A neural network predicts every frame from the previous frames and your keys."
    } else {
        "This is the real simulator. Nothing here is predicted by a network."
    }
}

#[cfg(test)]
mod tests {
    use driftless_model::checkpoint::read_config;

    use super::*;

    #[test]
    fn included_worlds_and_simulators_have_goals() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints");
        for name in ["pong", "breakout", "doom", "maze", "drive", "steer"] {
            let world = read_config(&root.join(name)).unwrap().name;
            assert!(goal(&world).is_some(), "{world}");
        }
        for kind in SimulatorKind::ALL {
            let world = kind.open(0).info().name;
            assert!(goal(&world).is_some(), "{world}");
        }
        assert_eq!(goal("my own"), None);
    }
}
