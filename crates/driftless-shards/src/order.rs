//! In which order shards are read.

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// The order of the shards over all epochs: in every epoch each shard comes once, in an order drawn from the seed and the
/// epoch alone.
///
/// ```
/// use driftless_shards::ShardOrder;
///
/// let mut order = ShardOrder::new(7, 5);
/// let mut first: Vec<usize> = (0..5).map(|position| order.shard(position)).collect();
/// first.sort();
/// assert_eq!(first, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct ShardOrder {
    seed: u64,
    shards: usize,
    /// The epochs asked for last, with their orders.
    known: [Option<(u64, Arc<Vec<u32>>)>; 2],
}

impl ShardOrder {
    /// An order of so many shards; at least one.
    pub fn new(seed: u64, shards: usize) -> Self {
        Self {
            seed,
            shards: shards.max(1),
            known: [None, None],
        }
    }

    /// The epoch of a position; positions count shards from the first of epoch 0.
    pub fn epoch(&self, position: u64) -> u64 {
        position / self.shards as u64
    }

    /// The shard at a position.
    pub fn shard(&mut self, position: u64) -> usize {
        let (epoch, at) = (self.epoch(position), position % self.shards as u64);
        let slot = (epoch % 2) as usize;
        let known = self.known[slot].take().filter(|(of, _)| *of == epoch);
        let (_, order) =
            self.known[slot].insert(known.unwrap_or_else(|| (epoch, Arc::new(self.draw(epoch)))));
        order.get(at as usize).map_or(0, |shard| *shard as usize)
    }

    fn draw(&self, epoch: u64) -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Apart from the streams of weights and steps, which count from 0.
        rng.set_stream(u64::MAX - epoch);
        let mut order: Vec<u32> = (0..self.shards as u32).collect();
        order.shuffle(&mut rng);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_each_shard_once() {
        let mut order = ShardOrder::new(3, 17);
        let mut epochs: Vec<Vec<usize>> = Vec::new();
        for epoch in 0..4_u64 {
            epochs.push((0..17).map(|at| order.shard(epoch * 17 + at)).collect());
        }
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..17).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        // The same again, asked for in another order.
        let mut again = ShardOrder::new(3, 17);
        assert_eq!(again.shard(3 * 17 + 5), epochs[3][5]);
        assert_eq!(again.shard(5), epochs[0][5]);
        assert_ne!(
            ShardOrder::new(4, 17).draw(0),
            ShardOrder::new(3, 17).draw(0)
        );
    }
}
