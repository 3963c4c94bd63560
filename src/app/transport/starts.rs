//! States at τ = 0 that were computed before: they do not depend on drug and dose.

use std::collections::VecDeque;

use candle_core::Tensor;

use driftless_flow::solver::Method;
use driftless_transport::Route;

use super::wish::Wish;

/// How many are kept: those of a picture, of the quick look before it, and of the cell before.
const KEPT: usize = 4;

/// What a start depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct StartKey {
    cell: u64,
    plates: [usize; 2],
    route: Route,
    method: Method,
    steps: usize,
    source_noise: f32,
    seed: u64,
}

impl StartKey {
    fn of(wish: &Wish) -> Self {
        Self {
            cell: wish.cell,
            plates: [wish.plate, wish.source_plate()],
            route: wish.params.route,
            method: wish.params.method,
            steps: wish.params.steps,
            source_noise: wish.params.source_noise,
            seed: wish.seed,
        }
    }
}

/// The latest starts.
#[derive(Default)]
pub(super) struct Starts(VecDeque<(StartKey, Tensor)>);

impl Starts {
    /// The start of a wish, if it is known.
    pub fn get(&self, wish: &Wish) -> Option<Tensor> {
        let key = StartKey::of(wish);
        let found = self.0.iter().find(|(of, _)| *of == key);
        found.map(|(_, start)| start.clone())
    }

    /// Keeps the start of a wish, and drops the oldest.
    pub fn keep(&mut self, wish: &Wish, start: &Tensor) {
        if self.get(wish).is_some() {
            return;
        }
        self.0.push_back((StartKey::of(wish), start.clone()));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }
}
