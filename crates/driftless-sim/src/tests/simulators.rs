//! The thread with a simulator as its player.

use driftless_data::Action;
use driftless_worlds::{Simulator, SimulatorKind};

use super::*;

fn playing(kind: SimulatorKind) -> SimOptions {
    SimOptions {
        player: Arc::new(move |_| Ok(Box::new(SimulatedWorld::new(kind.open(0))))),
        ..options()
    }
}

#[test]
fn frames_carry_ground_truth() {
    let sim = spawn(playing(SimulatorKind::Maze));
    let mut world = SimulatorKind::Maze.open(0);
    let first = next(&sim);
    assert!(*rgb(&first) == *world.image());
    sim.send(CaptureCommand::Trace(true));
    hold(&sim, 3);
    world.step(3.into()).unwrap();
    let frame = step(&sim);
    assert!(*rgb(&frame) == *world.image() && frame.diagnostics.trace.is_empty());
    let truth = frame.ground_truth.unwrap();
    assert_eq!((truth.seed, truth.state), (0, world.state()));
}

#[test]
fn clip_index_is_added_to_seed() {
    let sim = spawn(playing(SimulatorKind::Drive));
    let first = next(&sim);
    hold(&sim, 1);
    assert!(rgb(&step(&sim)) != rgb(&first));
    sim.send(EpisodeCommand::Reset);
    assert!(rgb(&next(&sim)) == rgb(&first));
    sim.send(EpisodeCommand::NextClip);
    let other = next(&sim);
    assert!(rgb(&other) != rgb(&first));
    assert_eq!(other.ground_truth.unwrap().seed, 1);
    // A new seed counts from the next reset on; the ground truth holds the current one.
    sim.send(SamplerCommand::Params(SamplerParams {
        seed: 40,
        ..SamplerParams::default()
    }));
    assert_eq!(step(&sim).ground_truth.unwrap().seed, 1);
    sim.send(EpisodeCommand::Reset);
    assert_eq!(next(&sim).ground_truth.unwrap().seed, 41);
}

#[test]
fn recording_holds_rewards_and_state() {
    let sim = spawn(SimOptions {
        record: Some("never-written.npz".into()),
        ..playing(SimulatorKind::Drive)
    });
    let mut world = SimulatorKind::Drive.open(0);
    let mut rewards = vec![next(&sim).ground_truth.unwrap().reward];
    let mut speeds = vec![0.0];
    hold(&sim, 1);
    for _ in 0..5 {
        step(&sim);
        world.step(1.into()).unwrap();
        rewards.push(world.reward());
        let speed = world.state().into_iter().find(|(name, _)| *name == "speed");
        speeds.extend(speed.unwrap().1);
    }
    let episode = recording(sim).into_episode();
    assert_eq!(episode.rewards, rewards);
    assert_eq!(episode.extras["speed"].values, speeds);
    assert_eq!(episode.extras["seed"].shape, [6, 4]);
    assert!(!episode.extras.contains_key("steps"));
}

/// Ends each episode with its third frame.
struct Short(Box<dyn Simulator>, u64);

impl Simulator for Short {
    fn info(&self) -> driftless_data::DatasetInfo {
        self.0.info()
    }
    fn reset(&mut self, seed: u64) {
        self.0.reset(seed);
        self.1 = 0;
    }
    fn step(&mut self, action: Action) -> driftless_worlds::Result<()> {
        self.1 += 1;
        self.0.step(action)
    }
    fn image(&self) -> &[u8] {
        self.0.image()
    }
    fn reward(&self) -> f32 {
        self.0.reward()
    }
    fn ended(&self) -> bool {
        self.1 == 2
    }
    fn state(&self) -> driftless_worlds::SimulatorState {
        self.0.state()
    }
    fn action_toward(&self, goal: u64) -> Option<Action> {
        self.0.action_toward(goal)
    }
    fn snapshot(&self) -> driftless_worlds::SimulatorSnapshot {
        self.0.snapshot()
    }
    fn restore(
        &mut self,
        snapshot: &driftless_worlds::SimulatorSnapshot,
    ) -> driftless_worlds::Result<()> {
        self.0.restore(snapshot)
    }
}

fn short() -> driftless_worlds::Result<Box<dyn Player>> {
    Ok(Box::new(SimulatedWorld::new(Box::new(Short(
        SimulatorKind::Maze.open(0),
        0,
    )))))
}

#[test]
fn ended_episode_restarts() {
    let sim = spawn(SimOptions {
        player: Arc::new(|_| Ok(short()?)),
        ..options()
    });
    let first = next(&sim);
    hold(&sim, 3);
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 0, 1]);
    assert!(
        matches!(next_message(&sim), Message::Notice(notice) if notice.to_string().contains("ended"))
    );
    let mut player = short().unwrap();
    let params = SamplerParams::default();
    let played = headless::play(player.as_mut(), 0, &[3.into(); 4], &params, &mut || {}).unwrap();
    assert_eq!(played.extras["number"].values, [0.0, 1.0, 2.0, 0.0, 1.0]);
    assert_eq!(played.actions, [0, 3, 3, 0, 3]);
    assert!(played.frame(3) == rgb(&first));
    assert_eq!(
        played.extras["is_terminal"].values,
        [0.0, 0.0, 1.0, 0.0, 0.0]
    );
}

#[test]
fn simulator_plays_itself_until_a_key_is_pressed() {
    let sim = spawn(playing(SimulatorKind::Drive));
    next(&sim);
    sim.send(InputCommand::Autoplay(true));
    let actions: Vec<Action> = (0..40).map(|_| step(&sim).action).collect();
    let frame = step(&sim);
    assert!(actions.iter().any(|action| *action != 0), "{actions:?}");
    let state = frame.ground_truth.unwrap().state;
    let speed = state.iter().find(|(name, _)| *name == "speed");
    assert!(speed.is_some_and(|(_, speed)| speed[0] > 0.0), "{state:?}");
    // Letting a key go ends nothing.
    hold(&sim, 0);
    assert!((0..40).any(|_| step(&sim).action != 0));
    hold(&sim, 2);
    assert_eq!(step(&sim).action, 2);
    let message = next_message(&sim);
    assert_eq!(message, Message::Notice(Notice::AutoplayStopped));
    hold(&sim, 0);
    assert!((0..40).all(|_| step(&sim).action == 0));
}
