//! Sampler parameters that the engine may reject, and the seed of the current episode.

use driftless_engine::SamplerParams;

use super::{Message, SamplerCommand};
use crate::{Error, Result};

/// Random seeds are drawn below this bound, so that they are short enough to read and type.
pub const RANDOM_SEED_LIMIT: u64 = 1 << 24;

/// The sampler parameters that the user asked for, and those to fall back to.
pub(super) struct ParamsState {
    requested: SamplerParams,
    /// The last parameters that made a frame.
    working: SamplerParams,
    /// The seed drawn at the last reset, where seeds are random.
    random_seed: Option<u64>,
}

impl ParamsState {
    pub fn new(params: SamplerParams, random_seed: bool) -> Self {
        Self {
            requested: params,
            working: params,
            random_seed: random_seed.then(draw_seed),
        }
    }

    pub fn handle(&mut self, command: SamplerCommand) {
        match command {
            SamplerCommand::Params(params) => self.requested = params,
            SamplerCommand::RandomSeed(random) => self.random_seed = random.then(draw_seed),
        }
    }

    /// Draws a new seed where seeds are random.
    pub fn redraw_seed(&mut self) {
        self.random_seed = self.random_seed.map(|_| draw_seed());
    }

    /// Goes on with the seed of an earlier frame where seeds are random.
    pub fn continue_seed(&mut self, seed: u64) {
        self.random_seed = self.random_seed.map(|_| seed);
    }

    /// Runs `work` with the requested parameters. If the engine rejects them, runs it with the last
    /// working ones, or with the plain sampler if those are rejected too: an adaptive solver may
    /// fail at any frame. Numbers that are not finite count as a rejection only where they come with
    /// a change of the parameters; else the weights are the cause. `send` gets a [`Message::ParamsRejected`]. Returns the parameters that
    /// were used.
    pub fn apply<T>(
        &mut self,
        send: impl FnOnce(Message),
        mut work: impl FnMut(&SamplerParams) -> Result<T>,
    ) -> Result<(SamplerParams, T)> {
        let params = self.seeded(self.requested);
        match work(&params) {
            Ok(value) => {
                self.working = self.requested;
                Ok((params, value))
            }
            Err(error) if self.blames_params(&error) && self.fall_back() => {
                send(Message::ParamsRejected {
                    reason: error.to_string(),
                    active: self.working,
                });
                let params = self.seeded(self.working);
                Ok((params, work(&params)?))
            }
            Err(error) => Err(error),
        }
    }

    fn blames_params(&self, error: &Error) -> bool {
        let changed = self.requested != self.working;
        error.is_argument() || (changed && error.is_not_finite())
    }

    /// Replaces rejected parameters; returns false if there are no others to try.
    fn fall_back(&mut self) -> bool {
        if self.requested == self.working {
            let default = self.requested.with_default_solver();
            if self.requested == default {
                return false;
            }
            self.working = default;
        }
        self.requested = self.working;
        true
    }

    fn seeded(&self, params: SamplerParams) -> SamplerParams {
        SamplerParams {
            seed: self.random_seed.unwrap_or(params.seed),
            ..params
        }
    }
}

fn draw_seed() -> u64 {
    rand::random_range(0..RANDOM_SEED_LIMIT)
}

#[cfg(test)]
mod tests {
    use driftless_engine::Solver;
    use driftless_flow::FlowError;

    use super::*;

    fn with_steps(steps: usize) -> SamplerParams {
        SamplerParams {
            steps,
            ..SamplerParams::default()
        }
    }

    /// Applies the parameters to an engine that accepts those that `accepts` does. Returns those
    /// used and the number of rejections announced.
    fn apply(
        params: &mut ParamsState,
        accepts: impl Fn(&SamplerParams) -> bool,
    ) -> (Result<SamplerParams>, usize) {
        let mut announced = 0;
        let applied = params.apply(
            |_| announced += 1,
            |params| {
                if accepts(params) {
                    Ok(())
                } else {
                    Err(Error::Argument("rejected".into()))
                }
            },
        );
        (applied.map(|(params, ())| params), announced)
    }

    #[test]
    fn rejected_params_fall_back_to_working_ones() {
        let mut params = ParamsState::new(with_steps(2), false);
        params.handle(SamplerCommand::Params(with_steps(9)));
        let (used, announced) = apply(&mut params, |params| params.steps < 9);
        assert_eq!((used.unwrap(), announced), (with_steps(2), 1));
        // They stay rejected without being tried again.
        let (used, announced) = apply(&mut params, |params| params.steps < 9);
        assert_eq!((used.unwrap(), announced), (with_steps(2), 0));
    }

    #[test]
    fn failing_solver_falls_back_to_plain() {
        let adaptive = SamplerParams {
            solver: Solver::Adaptive,
            ..SamplerParams::default()
        };
        let mut params = ParamsState::new(adaptive, false);
        let plain = |params: &SamplerParams| params.solver != Solver::Adaptive;
        let (used, announced) = apply(&mut params, plain);
        assert_eq!(
            (used.unwrap(), announced),
            (adaptive.with_default_solver(), 1)
        );
    }

    #[test]
    fn broken_weights_do_not_blame_the_params() {
        let not_finite = || {
            let (what, tau) = ("the prediction", 0.5);
            Error::Flow(FlowError::NotFinite { what, tau }.into())
        };
        let adaptive = SamplerParams {
            solver: Solver::Adaptive,
            ..SamplerParams::default()
        };
        let mut params = ParamsState::new(adaptive, false);
        let result: Result<(_, ())> = params.apply(
            |_| panic!("the parameters are not to blame"),
            |_| Err(not_finite()),
        );
        assert!(result.is_err_and(|error| error.is_not_finite()));

        // Those that came with a change are.
        params.handle(SamplerCommand::Params(with_steps(9)));
        let mut announced = 0;
        let work = |params: &SamplerParams| match params.steps {
            9 => Err(not_finite()),
            _ => Ok(()),
        };
        let (used, ()) = params.apply(|_| announced += 1, work).unwrap();
        assert_eq!((used, announced), (adaptive, 1));
    }

    #[test]
    fn fails_if_plain_params_are_rejected() {
        let mut params = ParamsState::new(SamplerParams::default(), false);
        let (used, announced) = apply(&mut params, |_| false);
        assert!(used.is_err() && announced == 0);
    }

    #[test]
    fn random_seed_replaces_the_params_own() {
        let seed = |params: &mut ParamsState| apply(params, |_| true).0.unwrap().seed;
        let mut params = ParamsState::new(with_steps(2), true);
        params.continue_seed(u64::MAX);
        assert_eq!(seed(&mut params), u64::MAX);
        params.redraw_seed();
        assert!(seed(&mut params) < RANDOM_SEED_LIMIT);
        params.handle(SamplerCommand::RandomSeed(false));
        params.continue_seed(u64::MAX);
        params.redraw_seed();
        assert_eq!(seed(&mut params), with_steps(2).seed);
    }
}
