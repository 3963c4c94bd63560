//! The thread with a simulator in it.

use super::*;
use driftless_worlds::{Kind, World};

fn playing(kind: Kind) -> Options {
    Options {
        player: Arc::new(move |_| Ok(Box::new(Real::new(kind.open(0))))),
        ..options()
    }
}

#[test]
fn the_simulators_frames_come_with_the_truth_and_without_passes() {
    let sim = spawn(playing(Kind::Maze));
    let mut world = Kind::Maze.open(0);
    let first = next(&sim);
    assert!(*rgb(&first) == *world.image());
    sim.send(Command::Trace(true));
    hold(&sim, 3);
    world.step(3).unwrap();
    let frame = step(&sim);
    assert!(*rgb(&frame) == *world.image() && frame.trace.is_empty());
    let truth = frame.truth.unwrap();
    assert_eq!((truth.seed, truth.state), (0, world.state()));
}

#[test]
fn a_reset_plays_the_seed_again_and_the_next_start_is_another_world() {
    let sim = spawn(playing(Kind::Drive));
    let first = next(&sim);
    hold(&sim, 1);
    assert!(rgb(&step(&sim)) != rgb(&first));
    sim.send(Command::Reset);
    assert!(rgb(&next(&sim)) == rgb(&first));
    sim.send(Command::NextContext);
    let other = next(&sim);
    assert!(rgb(&other) != rgb(&first));
    assert_eq!(other.truth.unwrap().seed, 1);
    // A new seed counts from the next reset on, and the truth tells which one is played.
    sim.send(Command::Params(SamplerParams {
        seed: 40,
        ..SamplerParams::default()
    }));
    assert_eq!(step(&sim).truth.unwrap().seed, 1);
    sim.send(Command::Reset);
    assert_eq!(next(&sim).truth.unwrap().seed, 41);
}

#[test]
fn a_recording_of_a_simulator_holds_rewards_and_the_true_state_and_no_sampler() {
    let sim = spawn(Options {
        record: Some("never-written.npz".into()),
        ..playing(Kind::Drive)
    });
    let mut world = Kind::Drive.open(0);
    let mut rewards = vec![next(&sim).truth.unwrap().reward];
    let mut speeds = vec![0.0];
    hold(&sim, 1);
    for _ in 0..5 {
        step(&sim);
        world.step(1).unwrap();
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

/// Ends every third frame.
struct Short(Box<dyn World>, u64);

impl World for Short {
    fn info(&self) -> driftless_data::DatasetInfo {
        self.0.info()
    }
    fn reset(&mut self, seed: u64) {
        self.0.reset(seed);
        self.1 = 0;
    }
    fn step(&mut self, action: u32) -> driftless_worlds::Result<()> {
        self.1 += 1;
        Ok(self.0.step(action)?)
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
    fn state(&self) -> driftless_worlds::State {
        self.0.state()
    }
    fn toward(&self, goal: u64) -> Option<u32> {
        self.0.toward(goal)
    }
    fn snapshot(&self) -> driftless_worlds::Snapshot {
        self.0.snapshot()
    }
    fn restore(&mut self, snapshot: &driftless_worlds::Snapshot) -> driftless_worlds::Result<()> {
        Ok(self.0.restore(snapshot)?)
    }
}

fn short() -> driftless_worlds::Result<Box<dyn Player>> {
    Ok(Box::new(Real::new(Box::new(Short(Kind::Maze.open(0), 0)))))
}

#[test]
fn an_episode_that_ended_starts_again_and_that_is_said() {
    let sim = spawn(Options {
        player: Arc::new(|_| Ok(short()?)),
        ..options()
    });
    let first = next(&sim);
    hold(&sim, 3);
    let numbers: Vec<u64> = (0..4).map(|_| step(&sim).number).collect();
    assert_eq!(numbers, [1, 2, 0, 1]);
    assert!(matches!(word(&sim), Message::Notice(text) if text.contains("ended")));
    let mut player = short().unwrap();
    let params = SamplerParams::default();
    let played = headless::play(player.as_mut(), 0, &[3; 4], &params, &mut || {}).unwrap();
    assert_eq!(played.extras["number"].values, [0.0, 1.0, 2.0, 0.0, 1.0]);
    assert_eq!(played.actions, [0, 3, 3, 0, 3]);
    assert!(played.frame(3) == rgb(&first));
    assert_eq!(
        played.extras["is_terminal"].values,
        [0.0, 0.0, 1.0, 0.0, 0.0]
    );
}
