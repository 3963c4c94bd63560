//! Which shards are open, and how far they are drawn from: the same on every rank.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use driftless_shards::ShardOrder;

use crate::frame_errors::FrameError;
use crate::{Error, Result};

/// Keys in the saved state.
const LANES: &str = "shard_lanes";
const ERRORS: &str = "shard_errors";
const LIST: &str = "shard_list";

/// The frames of a shard among all frames of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardRange {
    /// Its index in the manifest.
    pub index: usize,
    pub first: usize,
    pub count: usize,
    /// Frames of its longest episode.
    pub longest: usize,
}

impl ShardRange {
    /// Its frames among all frames.
    pub fn frames(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// A place for an open shard. Positions count shards in the order of [`ShardOrder`].
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Position of the shard that is open.
    pub current: u64,
    /// Position of the one that comes after it.
    pub following: u64,
    /// How many of its items were drawn in their order.
    pub drawn: u64,
    /// Last known errors of its frames; 0 for those that were not drawn yet.
    pub errors: Arc<Vec<f32>>,
}

/// All lanes.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    order: ShardOrder,
    seed: u64,
    /// Checksum of the list of shards.
    list: u32,
    shards: Arc<Vec<ShardRange>>,
    lanes: Vec<Lane>,
    /// The first position that no lane has.
    next: u64,
}

impl Lanes {
    /// So many lanes, or one for each shard if there are fewer; `list` tells these shards from others.
    pub fn new(seed: u64, list: u32, shards: Vec<ShardRange>, most: usize) -> Self {
        let count = most.min(shards.len());
        let mut lanes = Self {
            order: ShardOrder::new(seed, shards.len()),
            seed,
            list,
            shards: Arc::new(shards),
            lanes: Vec::new(),
            next: 0,
        };
        lanes.begin(0, count);
        lanes
    }

    /// Opens `count` shards from a position on.
    fn begin(&mut self, position: u64, count: usize) {
        let count = count as u64;
        self.next = position + 2 * count;
        self.lanes = (0..count)
            .map(|lane| self.lane(position + lane, position + count + lane))
            .collect();
    }

    fn lane(&mut self, current: u64, following: u64) -> Lane {
        Lane {
            current,
            following,
            drawn: 0,
            errors: Arc::new(vec![0.0; self.shard(current).count]),
        }
    }

    /// Number of lanes.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// A lane, if there is one.
    pub fn get(&self, lane: usize) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// The shard at a position.
    pub fn shard(&mut self, position: u64) -> ShardRange {
        let index = self.order.shard(position);
        self.shards[index.min(self.shards.len() - 1)].clone()
    }

    /// Notes how much of a lane's shard was drawn. If it is used up, the lane goes on with the next one.
    ///
    /// # Errors
    /// Returns an error if there is no such lane.
    pub fn note(&mut self, lane: usize, drawn: u64, used_up: bool) -> Result<()> {
        let Some(found) = self.lanes.get_mut(lane) else {
            return Err(Error::Internal("a rank drew from a lane that is not there"));
        };
        found.drawn = drawn;
        if used_up {
            let (current, following) = (found.following, self.next);
            self.lanes[lane] = self.lane(current, following);
            self.next += 1;
        }
        Ok(())
    }

    /// Remembers the error of a frame, wherever it is open.
    pub fn set_error(&mut self, error: FrameError) {
        for lane in 0..self.lanes.len() {
            let frames = self.shard(self.lanes[lane].current).frames();
            if frames.contains(&error.frame) {
                let errors = Arc::make_mut(&mut self.lanes[lane].errors);
                errors[error.frame - frames.start] = error.error;
            }
        }
    }

    /// The tensors of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let numbers = |lane: &Lane| [lane.current, lane.following, lane.drawn].map(|x| x as i64);
        let lanes: Vec<i64> = self.lanes.iter().flat_map(numbers).collect();
        let errors = self
            .lanes
            .iter()
            .flat_map(|lane| lane.errors.iter().copied());
        let errors: Vec<f32> = errors.collect();
        let count = self.lanes.len();
        Ok(BTreeMap::from([
            (
                LANES.to_owned(),
                Tensor::from_vec(lanes, (count, 3), &Device::Cpu)?,
            ),
            (ERRORS.to_owned(), Tensor::new(errors, &Device::Cpu)?),
            (
                LIST.to_owned(),
                Tensor::new(self.identity().as_slice(), &Device::Cpu)?,
            ),
        ]))
    }

    /// What the order depends on. Bits of the seed, so that it survives as a signed number.
    fn identity(&self) -> [i64; 3] {
        [self.list.into(), self.seed as i64, self.shards.len() as i64]
    }

    /// Restores the tensors of a saved state, if it has any. With other shards, another number of lanes or another seed, a new
    /// epoch begins.
    ///
    /// # Errors
    /// Returns an error if they have another type or cannot be.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let (Some(lanes), Some(errors), Some(list)) =
            (state.get(LANES), state.get(ERRORS), state.get(LIST))
        else {
            return Ok(());
        };
        let lanes = lanes.to_vec2::<i64>()?;
        // Of each lane: the shard that is open, the one after it, and what is drawn.
        let positions = lanes.iter().flat_map(|lane| lane.iter().take(2));
        let next = 1 + positions.copied().max().unwrap_or(0).max(0) as u64;
        let is_same = list.to_vec1::<i64>()? == self.identity() && lanes.len() == self.count();
        if !is_same {
            tracing::warn!(
                "the shards, the number of them that is open at a time, or the seed have changed: a new epoch begins"
            );
            let epoch = self.order.epoch(next) + 1;
            let first = epoch * self.shards.len() as u64;
            self.begin(first, self.count());
            return Ok(());
        }
        let errors = errors.to_vec1::<f32>()?;
        let mut errors = errors.as_slice();
        let mut restored = Vec::with_capacity(lanes.len());
        self.next = 0;
        for numbers in &lanes {
            let numbers: Vec<u64> = numbers.iter().map(|x| x.unsigned_abs()).collect();
            let &[current, following, drawn] = numbers.as_slice() else {
                return Err(wrong_state());
            };
            let count = self.shard(current).count;
            let (own, rest) = errors.split_at_checked(count).ok_or_else(wrong_state)?;
            errors = rest;
            self.next = self.next.max(following.saturating_add(1));
            restored.push(Lane {
                current,
                following,
                drawn,
                errors: Arc::new(own.to_vec()),
            });
        }
        self.lanes = restored;
        Ok(())
    }
}

fn wrong_state() -> Error {
    Error::Shape("the positions in the shards do not belong to this dataset".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(shards: usize, most: usize) -> Lanes {
        let ranges = (0..shards).map(|index| ShardRange {
            index,
            first: 10 * index,
            count: 10,
            longest: 5,
        });
        Lanes::new(1, 7, ranges.collect(), most)
    }

    #[test]
    fn lanes_share_every_epoch() {
        let mut lanes = lanes(7, 3);
        let mut opened: Vec<u64> = (0..3).map(|lane| lanes.lanes[lane].current).collect();
        // The lanes use their shards up at different rates.
        for step in [0, 1, 0, 2, 0, 0, 1, 0, 2, 1, 0, 0] {
            lanes.note(step, 0, true).unwrap();
            opened.push(lanes.lanes[step].current);
        }
        opened.sort_unstable();
        assert!(opened.windows(2).all(|pair| pair[0] != pair[1]));
        let mut again = Vec::new();
        for epoch in 0..2_u64 {
            let shards = (0..7).map(|at| lanes.shard(7 * epoch + at).index);
            again.push(shards.collect::<std::collections::BTreeSet<_>>().len());
        }
        assert_eq!(again, [7, 7]);
        assert!(lanes.note(3, 0, false).is_err());
    }

    #[test]
    fn saved_lanes_are_restored() {
        let mut saved = lanes(5, 2);
        saved.note(1, 0, true).unwrap();
        saved.note(0, 4, false).unwrap();
        let frame = saved.shard(saved.lanes[0].current).first + 3;
        let error = FrameError {
            frame,
            error: 2.5,
            signal: 1.0,
        };
        saved.set_error(error);
        let state = saved.state().unwrap();
        let mut restored = lanes(5, 2);
        restored.restore(&state).unwrap();
        assert_eq!(
            format!("{:?}", restored.lanes),
            format!("{:?}", saved.lanes)
        );
        assert_eq!(restored.next, saved.next);
        assert_eq!(restored.lanes[0].errors[3], 2.5);
    }

    #[test]
    fn other_shards_begin_a_new_epoch() {
        let state = lanes(5, 2).state().unwrap();
        let mut other = lanes(6, 2);
        other.restore(&state).unwrap();
        assert_eq!(other.lanes[0].current, 6);
        let mut wider = lanes(5, 3);
        wider.restore(&state).unwrap();
        assert_eq!((wider.count(), wider.lanes[0].current), (3, 5));
    }

    #[test]
    fn state_of_another_shape_is_refused() {
        let mut state = lanes(5, 2).state().unwrap();
        state.insert(
            ERRORS.into(),
            Tensor::new(&[0.0f32; 3], &Device::Cpu).unwrap(),
        );
        assert!(lanes(5, 2).restore(&state).is_err());
    }
}
