//! Random input to the window, and recovery from a failed world.

use std::sync::atomic::{AtomicUsize, Ordering};

use eframe::egui::MissingGlyphPolicy;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_engine::{SamplingPath, Solver, StageTimes};
use driftless_sim::{RecordOptions, SimOptions, SimThread, TimelinePosition};

use super::*;
use crate::workspace::UserPaths;

/// Makes one random input.
fn random_input(window: &mut TestWindow, rng: &mut ChaCha8Rng) {
    let shortcuts = [
        Key::P,
        Key::N,
        Key::R,
        Key::C,
        Key::H,
        Key::V,
        Key::T,
        Key::L,
        Key::OpenBracket,
        Key::CloseBracket,
        Key::G,
        Key::J,
        Key::K,
        Key::I,
    ];
    match rng.random_range(0..12) {
        0..=3 => press(window, *shortcuts.choose(rng).unwrap()),
        4..=6 => {
            let which = *[Key::ArrowUp, Key::ArrowDown, Key::W, Key::Space]
                .choose(rng)
                .unwrap();
            key(window, which, rng.random());
        }
        7 => random_params(window, rng),
        8 => {
            // Any position, valid or not.
            let place = TimelinePosition {
                branch: rng.random_range(0..4),
                index: rng.random_range(0..400),
            };
            window.state_mut().game().send(TimelineCommand::Seek(place));
            window.state_mut().stage.play.game.resume();
        }
        9 => window
            .state_mut()
            .game()
            .send(match rng.random_range(0..3) {
                0 => TimelineCommand::NewBranch.into(),
                1 => TimelineCommand::DeleteBranch(rng.random_range(0..6)).into(),
                _ => Command::Compare(driftless_sim::ComparisonSource::Branch(
                    rng.random_range(0..4),
                )),
            }),
        10 => {
            let side = |rng: &mut ChaCha8Rng| rng.random_range(360.0..1100.0_f32).round();
            let size = vec2(side(rng), side(rng));
            window.set_size(size);
        }
        _ => {
            if rng.random_bool(0.05) {
                let name = ["pong", "maze", "breakout"].choose(rng).unwrap();
                let (stage, env) = parts(window);
                stage.play_world(&checkpoint(name), env).unwrap();
            }
        }
    }
}

/// Sends random sampler parameters, including invalid ones.
fn random_params(window: &mut TestWindow, rng: &mut ChaCha8Rng) {
    let params = SamplerParams {
        steps: *[1, 1, 1, 2, 4, 5].choose(rng).unwrap(),
        solver: *[
            Solver::Shortcut,
            Solver::Shortcut,
            Solver::Heun,
            Solver::Euler,
        ]
        .choose(rng)
        .unwrap(),
        path: *SamplingPath::ALL.choose(rng).unwrap(),
        seed: rng.random_range(0..5),
        context: rng.random_range(1..14),
        temperature: rng.random_range(0.0..1.5),
        context_signal: rng.random_range(0.1..=1.0),
        guidance: *[1.0, 1.0, 1.0, 2.0].choose(rng).unwrap(),
        ..SamplerParams::default()
    };
    window
        .state_mut()
        .game()
        .send(SamplerCommand::Params(params));
}

/// Resident memory in MiB, where available.
fn resident() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// Plays `frames` frames under random input; returns the resident memory after each fifth.
fn play_randomly(frames: u64, seed: u64) -> Vec<f64> {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return Vec::new();
    };
    // Any character may be typed.
    window
        .ctx
        .set_missing_glyph_policy(MissingGlyphPolicy::Tofu);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    window
        .state_mut()
        .game()
        .send(PlaybackCommand::Pace(driftless_sim::Pace::Unlimited));
    let (mut count, mut last, mut moved) = (0, 0, Instant::now());
    let (mut held, mut turns) = (Vec::new(), 0_u32);
    while count < frames {
        random_input(&mut window, &mut rng);
        turns += 1;
        if turns.is_multiple_of(32) {
            // Otherwise undrawn textures accumulate.
            window.render().unwrap();
        }
        // Keep every world running at an unlimited pace.
        if rng.random_bool(0.2) {
            window
                .state_mut()
                .game()
                .send(PlaybackCommand::Pace(driftless_sim::Pace::Unlimited));
            window.state_mut().stage.play.game.resume();
        }
        window.step();
        let state = window.state();
        if let WorldThread::Failed(failure) = &state.game().world {
            panic!("after {count} frames: {}", failure.what);
        }
        let sequence = state
            .game()
            .frame
            .as_ref()
            .map_or(0, |frame| frame.sequence);
        if sequence != last {
            count += sequence.saturating_sub(last);
            (last, moved) = (sequence, Instant::now());
        }
        assert!(
            moved.elapsed() < TIMEOUT,
            "no progress after {count} frames"
        );
        if count >= frames * (held.len() as u64 + 1) / 5 {
            held.extend(resident());
            eprintln!("{count} frames, {:?} MiB", held.last());
        }
    }
    held
}

#[test]
fn survives_random_input() {
    play_randomly(100, 1);
}

/// The long run: `cargo nextest run --release --run-ignored only memory_stays_bounded --no-capture`.
#[test]
#[ignore = "takes minutes"]
fn memory_stays_bounded() {
    let held = play_randomly(20_000, 2);
    if let [.., second, _, _, last] = held[..] {
        assert!(last - second < 64.0, "memory grows: {held:?} MiB");
    }
}

#[test]
fn failed_world_can_be_restarted() {
    let home = tempfile::tempdir().unwrap();
    let mut game = learned("pong");
    let (good, starts) = (Arc::clone(&game.player), AtomicUsize::new(0));
    game.player = Arc::new(move |gpu_source| {
        let player = good(gpu_source)?;
        if starts.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Box::new(FailingPlayer(player)));
        }
        Ok(player)
    });
    // Without the lab, which has another "Restart".
    let mut config = UserConfig::default();
    config.welcomed.insert("Pong".to_owned());
    let Some(mut window) = open_with(game, home.path(), config, SIZE) else {
        return;
    };
    press(&mut window, Key::N);
    wait(&mut window, "the failure card", |window| {
        matches!(window.game().world, WorldThread::Failed(_))
    });
    click(&mut window, "Restart");
    wait(&mut window, "the world", |window| {
        matches!(window.game().world, WorldThread::Running(_)) && window.game().frame.is_some()
    });
    let before = shown(&window).sequence;
    press(&mut window, Key::N);
    wait(&mut window, "a frame", |window| {
        window
            .game()
            .frame
            .as_ref()
            .is_some_and(|f| f.number == 1 && f.sequence != before)
    });
}

/// Panics at its first step.
struct FailingPlayer(Box<dyn driftless_sim::Player>);

impl driftless_sim::Player for FailingPlayer {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn world(&self) -> String {
        self.0.world()
    }

    fn image_size(&self) -> [usize; 2] {
        self.0.image_size()
    }

    fn actions(&self) -> usize {
        self.0.actions()
    }

    fn start_count(&self) -> usize {
        self.0.start_count()
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> driftless_sim::Result<()> {
        self.0.start(index, params)
    }

    fn step(
        &mut self,
        _: driftless_data::Action,
        _: &SamplerParams,
    ) -> driftless_sim::Result<StageTimes> {
        panic!("index out of range");
    }

    fn image(&mut self) -> driftless_sim::Result<&[u8]> {
        self.0.image()
    }

    fn snapshot(&mut self) -> driftless_sim::Result<driftless_sim::PlayerSnapshot> {
        self.0.snapshot()
    }

    fn restore(&mut self, saved: &driftless_sim::PlayerSnapshot) -> driftless_sim::Result<()> {
        self.0.restore(saved)
    }

    fn learned(&self) -> Option<&driftless_sim::LearnedWorld> {
        self.0.learned()
    }

    fn learned_mut(&mut self) -> Option<&mut driftless_sim::LearnedWorld> {
        self.0.learned_mut()
    }
}

#[test]
fn unfinished_recording_is_offered() {
    let home = tempfile::tempdir().unwrap();
    let paths = UserPaths::resolve(Some(home.path().into())).unwrap();
    let target = home.path().join("played.npz");
    let options = SimOptions {
        paused: true,
        record: Some(RecordOptions {
            journal: Some(paths.unfinished()),
            ..RecordOptions::from(&target)
        }),
        ..SimOptions::new(PlayableWorld::simulator(SimulatorKind::Maze).player)
    };
    let sim = SimThread::spawn(options, None, || {}).unwrap();
    sim.frames().recv_timeout(TIMEOUT).unwrap();
    // As after a crash: nobody writes the session.
    drop(sim.finish().session);

    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let offered = |window: &Window| window.recovery.is_offering();
    wait(&mut window, "the offer", offered);
    click(&mut window, "Recover");
    wait(&mut window, "the file", |window| !offered(window));
    assert_eq!(driftless_data::Episode::read(&target).unwrap().frames(), 1);
    assert_eq!(paths.unfinished().read_dir().unwrap().count(), 0);
}
