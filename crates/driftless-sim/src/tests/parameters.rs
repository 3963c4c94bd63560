//! Sampler parameters and seeds while playing.

use super::*;

#[test]
fn parameters_apply_to_next_frame() {
    let sim = spawn(options());
    next(&sim);
    let params = SamplerParams {
        steps: 8,
        temperature: 0.5,
        ..SamplerParams::default()
    };
    sim.send(SamplerCommand::Params(params));
    let frame = step(&sim);
    assert_eq!((frame.params, rgb(&frame)[2]), (params, 8));
    assert_eq!(step(&sim).params, params);
}

#[test]
fn rejected_parameters_fall_back() {
    let sim = spawn(options());
    next(&sim);
    let with = |steps| SamplerParams {
        steps,
        ..SamplerParams::default()
    };
    sim.send(SamplerCommand::Params(with(2)));
    step(&sim);
    sim.send(SamplerCommand::Params(with(9)));
    assert_eq!(step(&sim).params, with(2));
    let Message::ParamsRejected { reason, active } = next_message(&sim) else {
        panic!("unexpected message");
    };
    assert!(reason.contains("K is 9"), "{reason}");
    assert_eq!(active, with(2));
    // Also at a reset, which makes no step.
    sim.send(SamplerCommand::Params(with(0)));
    sim.send(EpisodeCommand::Reset);
    assert_eq!(next(&sim).params, with(2));
    assert!(matches!(next_message(&sim), Message::ParamsRejected { .. }));
    assert_eq!(step(&sim).params, with(2));
}

#[test]
fn failing_solver_falls_back_to_plain() {
    let sim = spawn(options());
    next(&sim);
    let adaptive = SamplerParams {
        solver: Solver::Adaptive,
        temperature: 0.5,
        ..SamplerParams::default()
    };
    sim.send(SamplerCommand::Params(adaptive));
    assert_eq!(step(&sim).params, adaptive);
    sim.send(InputCommand::Hold {
        action: fake::HARD.into(),
        changed_at: Instant::now(),
    });
    assert_eq!(step(&sim).params, adaptive.with_default_solver());
    let Message::ParamsRejected { reason, active } = next_message(&sim) else {
        panic!("unexpected message");
    };
    assert!(reason.contains("larger tolerance"), "{reason}");
    assert_eq!((active.solver, active.temperature), (Solver::Shortcut, 0.5));
    assert_eq!(step(&sim).params, active);
}

#[test]
fn random_seed_changes_at_reset() {
    let sim = spawn(SimOptions {
        random_seed: true,
        ..options()
    });
    let mut seeds = HashSet::from([next(&sim).params.seed]);
    for command in [
        EpisodeCommand::Reset,
        EpisodeCommand::NextClip,
        EpisodeCommand::Reset,
    ] {
        sim.send(command);
        let seed = next(&sim).params.seed;
        assert!(seed < RANDOM_SEED_LIMIT);
        assert_eq!(step(&sim).params.seed, seed);
        seeds.insert(seed);
    }
    assert_eq!(seeds.len(), 4);
    sim.send(SamplerCommand::RandomSeed(false));
    assert_eq!(step(&sim).params.seed, SamplerParams::default().seed);
}

#[test]
fn fixed_seed_survives_reset() {
    let params = SamplerParams {
        seed: u64::MAX,
        ..SamplerParams::default()
    };
    let sim = spawn(SimOptions {
        params,
        ..options()
    });
    assert_eq!(next(&sim).params.seed, u64::MAX);
    sim.send(EpisodeCommand::Reset);
    assert_eq!(next(&sim).params.seed, u64::MAX);
}
