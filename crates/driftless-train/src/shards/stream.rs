//! Draws batches from the open shards of all ranks.

use std::collections::{BTreeMap, VecDeque};

use candle_core::Tensor;
use prost::Message as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use driftless_shards::Ahead;

use super::ShardedData;
use super::lanes::{Lane, Lanes};
use super::messages::{DrawnItem, LaneDraw, RankDraw};
use crate::frame_errors::FrameError;
use crate::frame_store::FrameStore;
use crate::{Error, Result};

/// How items are drawn from an open shard: frames for the tokenizer, sequences for the dynamics.
pub(crate) trait ShardDraws {
    /// An open shard.
    type Open;
    /// What a step wants: the same on every rank.
    type Request: Copy;

    /// Opens a shard. Its items are put in an order by `rng`.
    fn open(&mut self, store: FrameStore, rng: &mut ChaCha8Rng) -> Result<Self::Open>;

    /// Number of items, each of which is drawn once in an epoch.
    fn items(&self, open: &Self::Open) -> u64;

    /// Draws an item: the next in the order, which counts as drawn then, or one that is drawn besides, for its error for
    /// example. Its frame counts from the shard's first.
    fn draw(
        &self,
        open: &Self::Open,
        lane: &mut Lane,
        request: Self::Request,
        rng: &mut ChaCha8Rng,
    ) -> Result<DrawnItem>;
}

/// Batches that are drawn from shards.
pub(crate) struct Stream<'a, D: ShardDraws> {
    data: &'a ShardedData,
    draws: D,
    lanes: Lanes,
    /// This rank's open shards by their lanes, with their positions.
    open: BTreeMap<usize, (u64, D::Open)>,
    ahead: Ahead<Result<FrameStore>>,
}

/// A random stream of its own for every purpose, apart from those of weights and steps.
fn item_rng(seed: u64, purpose: u64, a: u64, b: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    let numbers = [seed, purpose, a, b].map(u64::to_le_bytes);
    for (part, number) in key.chunks_exact_mut(8).zip(numbers) {
        part.copy_from_slice(&number);
    }
    ChaCha8Rng::from_seed(key)
}

/// The purpose of the streams that put items in order; those of draws count up from the next.
const ORDER: u64 = u64::from_le_bytes(*b"shards\0\0");

impl<'a, D: ShardDraws> Stream<'a, D> {
    /// Draws from the shards with an episode of at least `frames` frames.
    ///
    /// # Errors
    /// Returns an error if there are too few, or if a thread cannot be started.
    pub fn new(data: &'a ShardedData, draws: D, frames: usize) -> Result<Self> {
        let lanes = data.lanes(frames)?;
        Ok(Self {
            ahead: data.ahead(&lanes)?,
            data,
            draws,
            lanes,
            open: BTreeMap::new(),
        })
    }

    /// How items are drawn.
    pub fn draws(&self) -> &D {
        &self.draws
    }

    /// Draws `count` items for a step, the same on all ranks. Nothing has been drawn after an error.
    ///
    /// # Errors
    /// Returns an error, on every rank, if a shard cannot be read, if the user asks to stop, or if a rank is lost.
    pub fn draw(&mut self, step: u64, count: usize, request: D::Request) -> Result<Vec<DrawnItem>> {
        let before = self.lanes.clone();
        let drawn = self.draw_rounds(step, count, request);
        if drawn.is_err() {
            self.lanes = before;
        }
        drawn
    }

    /// The lanes take turns. One whose shard is used up before it has drawn its part goes on in another round, when all ranks
    /// know who goes on with which shard.
    fn draw_rounds(
        &mut self,
        step: u64,
        count: usize,
        request: D::Request,
    ) -> Result<Vec<DrawnItem>> {
        let lanes = self.lanes.count();
        let first = (step % lanes as u64) as usize * (count % lanes);
        let lane_of = |item: usize| (first + item) % lanes;
        let mut wanted = vec![0; lanes];
        (0..count).for_each(|item| wanted[lane_of(item)] += 1);
        let mut drawn: Vec<VecDeque<DrawnItem>> = vec![VecDeque::new(); lanes];
        let mut round = 0;
        while wanted.iter().any(|count| *count > 0) {
            let own = self.draw_own(step, round, &wanted, request);
            for LaneDraw {
                lane,
                drawn: count,
                used_up,
                items,
            } in self.exchange(own)?
            {
                let lane = lane as usize;
                self.lanes.note(lane, count, used_up)?;
                wanted[lane] = usize::saturating_sub(wanted[lane], items.len());
                drawn[lane].extend(items);
            }
            round += 1;
        }
        let items = (0..count).map(|item| drawn[lane_of(item)].pop_front());
        let items: Option<Vec<DrawnItem>> = items.collect();
        items.ok_or(Error::Internal("a lane has drawn too little"))
    }

    /// Draws from this rank's lanes.
    fn draw_own(
        &mut self,
        step: u64,
        round: u64,
        wanted: &[usize],
        request: D::Request,
    ) -> Result<Vec<LaneDraw>> {
        let (data, ranks) = (self.data, &self.data.ranks);
        let own: Vec<usize> = (ranks.rank()..wanted.len()).step_by(ranks.size()).collect();
        let of = |lane: usize| {
            self.lanes
                .get(lane)
                .cloned()
                .ok_or(Error::Internal("no lane"))
        };
        let own = own.into_iter().map(|lane| Ok((lane, of(lane)?)));
        let own = own.collect::<Result<Vec<(usize, Lane)>>>()?;
        for (lane, at) in &own {
            if self
                .open
                .get(lane)
                .is_none_or(|(position, _)| *position != at.current)
            {
                self.open.remove(lane);
                self.ahead.ask(at.current);
            }
        }
        own.iter().for_each(|(_, at)| self.ahead.ask(at.following));
        let mut draws = Vec::new();
        for (lane, mut at) in own {
            if wanted[lane] == 0 {
                continue;
            }
            let first = self.lanes.shard(at.current).first as u64;
            let (how, open) = self.opened(lane, at.current)?;
            let mut rng = item_rng(data.seed, ORDER + 1 + round, step, lane as u64);
            let mut items = Vec::with_capacity(wanted[lane]);
            let all = how.items(open);
            while items.len() < wanted[lane] && at.drawn < all {
                let mut item = how.draw(open, &mut at, request, &mut rng)?;
                item.frame += first;
                items.push(item);
            }
            draws.push(LaneDraw {
                lane: lane as u32,
                drawn: at.drawn,
                used_up: at.drawn >= all,
                items,
            });
        }
        Ok(draws)
    }

    /// The open shard of a lane, which is waited for if it is not ready.
    fn opened(&mut self, lane: usize, position: u64) -> Result<(&D, &D::Open)> {
        if !self.open.contains_key(&lane) {
            let store = self.ahead.take(position, &self.data.interrupted)??;
            let mut rng = item_rng(self.data.seed, ORDER, position, 0);
            let open = self.draws.open(store, &mut rng)?;
            self.open.insert(lane, (position, open));
        }
        let open = self.open.get(&lane).map(|(_, open)| open);
        Ok((&self.draws, open.ok_or(Error::Internal("no open shard"))?))
    }

    /// What all ranks have drawn, in the order of the lanes.
    fn exchange(&self, own: Result<Vec<LaneDraw>>) -> Result<Vec<LaneDraw>> {
        let ranks = &self.data.ranks;
        if ranks.size() == 1 {
            return own;
        }
        let (message, error) = match own {
            Ok(lanes) => (
                RankDraw {
                    lanes,
                    ..RankDraw::default()
                },
                None,
            ),
            Err(error) => {
                let message = RankDraw {
                    error: error.to_string(),
                    interrupted: matches!(error, Error::Interrupted),
                    ..RankDraw::default()
                };
                (message, Some(error))
            }
        };
        let all = ranks.exchange(message.encode_to_vec())?;
        let all = all.iter().map(|bytes| RankDraw::decode(bytes.as_slice()));
        let all = all.collect::<std::result::Result<Vec<RankDraw>, _>>();
        let all = all.map_err(|_| Error::Internal("ranks send what is no draw"))?;
        if all.iter().any(|draw| draw.interrupted) {
            return Err(Error::Interrupted);
        }
        if let Some(error) = error {
            return Err(error);
        }
        if let Some(rank) = all.iter().position(|draw| !draw.error.is_empty()) {
            let what = format!("rank {rank} stopped: {}", all[rank].error);
            return Err(Error::Ranks(what));
        }
        let mut lanes: Vec<LaneDraw> = all.into_iter().flat_map(|draw| draw.lanes).collect();
        lanes.sort_by_key(|draw| draw.lane);
        Ok(lanes)
    }

    /// Remembers the error of a frame that was drawn.
    pub fn set_error(&mut self, error: FrameError) {
        self.lanes.set_error(error);
    }

    /// The tensors of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.lanes.state()
    }

    /// Restores the tensors of a saved state.
    ///
    /// # Errors
    /// Returns an error if they do not belong to these shards.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.lanes.restore(state)?;
        self.open.clear();
        // What the old positions were asked for is not needed.
        self.ahead = self.data.ahead(&self.lanes)?;
        Ok(())
    }
}
