//! What is drawn from shards on a server, by one rank and by several, which are threads here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::Device;
use driftless_data::Episode;
use driftless_shards::testing::Server;
use driftless_shards::{CutOptions, Stop, cut};
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::layout::RunLayout;
use crate::ranks::threads;
use crate::settings::TrainSettings;

const SHARDS: usize = 12;
const FRAMES: usize = 20;
const DATASET: &str = r#"{"name": "Tiny", "fps": 10.0, "image": [16, 16], "actions": [{"name": "noop", "keys": []}]}"#;

/// Draws each frame once in an epoch, and now and then one besides.
struct Frames {
    besides: bool,
}

impl ShardDraws for Frames {
    type Open = (FrameStore, Vec<usize>);
    type Request = ();

    fn open(&mut self, store: FrameStore, rng: &mut ChaCha8Rng) -> Result<Self::Open> {
        let mut order: Vec<usize> = (0..store.frames()).collect();
        order.shuffle(rng);
        Ok((store, order))
    }

    fn items(&self, open: &Self::Open) -> u64 {
        open.1.len() as u64
    }

    fn draw(
        &self,
        (store, order): &Self::Open,
        lane: &mut Lane,
        (): (),
        rng: &mut ChaCha8Rng,
    ) -> Result<DrawnItem> {
        use rand::Rng as _;
        let mut item = DrawnItem::default();
        let at = if self.besides && rng.random_bool(0.25) {
            // What was drawn besides says so.
            item.by_pose = true;
            rng.random_range(0..order.len())
        } else {
            lane.drawn += 1;
            order[lane.drawn as usize - 1]
        };
        store.read(at..at + 1, &mut item.data)?;
        item.frame = at as u64;
        Ok(item)
    }
}

/// A server with twelve shards of one episode each, whose frames show their number.
fn server(folder: &Path) -> Server {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("dataset.json"), DATASET).unwrap();
    for e in 0..SHARDS {
        let number = |t: usize| [e as u8, t as u8].into_iter().cycle().take(768);
        let episode = Episode {
            height: 16,
            width: 16,
            images: (0..FRAMES).flat_map(number).collect(),
            actions: vec![0; FRAMES],
            rewards: vec![0.0; FRAMES],
            extras: BTreeMap::new(),
        };
        episode.write(&data.join(format!("{e:02}.npz"))).unwrap();
    }
    let out = folder.join("shards");
    let options = CutOptions {
        data,
        out: Location::parse(&out).unwrap(),
        shard_bytes: (FRAMES * 768) as u64,
        seed: 1,
        skip_bad: false,
        overwrite: false,
    };
    let never: Stop = Arc::new(|| false);
    let manifest = cut(&options, &never, &mut |_, _| {}).unwrap();
    assert_eq!(manifest.shards.len(), SHARDS);
    let server = Server::web().unwrap();
    server.put_folder(&out).unwrap();
    server
}

/// Calls `work` on every rank with a stream from the server; returns what the ranks return.
fn on_ranks<T: Send>(
    server: &Server,
    size: usize,
    open: usize,
    work: impl Fn(&mut Stream<'_, Frames>) -> T + Sync,
) -> Vec<T> {
    let folder = tempfile::tempdir().unwrap();
    let on = |ranks: Ranks| {
        let options = TrainOptions::new(format!("{}/data", server.url()), folder.path());
        let reader = super::open(&options).unwrap();
        let settings = TrainSettings {
            open_shards: open,
            ..TrainSettings::default()
        };
        let run = RunContext {
            layout: RunLayout::new(folder.path()),
            world: settings.world(&reader.manifest().dataset).unwrap(),
            settings,
            device: Device::Cpu,
            ranks,
        };
        let data = ShardedData::new(&run, reader, &options).unwrap();
        work(&mut Stream::new(&data, Frames { besides: true }, 1).unwrap())
    };
    std::thread::scope(|scope| {
        let ranks = threads::ranks(size).into_iter();
        let started: Vec<_> = ranks.map(|ranks| scope.spawn(|| on(ranks))).collect();
        started.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// What `steps` steps draw: the number of each frame, what it shows, and whether it was drawn besides.
fn drawn(stream: &mut Stream<'_, Frames>, steps: u64) -> Vec<(u64, [u8; 2], bool)> {
    let batches = (0..steps).map(|step| stream.draw(step, 7, ()).unwrap());
    let items = batches.flatten();
    items
        .map(|item| (item.frame, [item.data[0], item.data[1]], item.by_pose))
        .collect()
}

#[test]
fn every_frame_of_an_epoch_is_drawn_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = None;
    for size in [1, 2, 3] {
        let server = server(folder.path());
        std::fs::remove_dir_all(folder.path().join("shards")).unwrap();
        // Two epochs, and what is drawn besides.
        let all = on_ranks(&server, size, 4, |stream| drawn(stream, 100));
        assert!(all.iter().all(|items| *items == all[0]));
        // N ranks draw what one draws.
        assert_eq!(*expected.get_or_insert_with(|| all[0].clone()), all[0]);
        let in_order = all[0].iter().filter(|(.., besides)| !besides);
        let in_order: Vec<(u64, [u8; 2])> = in_order.map(|(at, shown, _)| (*at, *shown)).collect();
        assert!(in_order.len() > 2 * SHARDS * FRAMES);
        let mut counts = BTreeMap::new();
        for (frame, _) in &in_order {
            *counts.entry(*frame).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), SHARDS * FRAMES);
        // No frame is ahead of another by more than the epoch that has begun.
        assert!(
            counts.values().all(|count| (2..=3).contains(count)),
            "{counts:?}"
        );
        // Each number means one picture.
        let shown: BTreeSet<(u64, [u8; 2])> = in_order.into_iter().collect();
        assert_eq!(shown.len(), SHARDS * FRAMES);
    }
}

#[test]
fn no_shard_is_read_twice_in_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    for size in [1, 2, 3] {
        let server = server(folder.path());
        std::fs::remove_dir_all(folder.path().join("shards")).unwrap();
        // Less than what four lanes draw from their first two shards, so that the ninth to twelfth are asked for.
        on_ranks(&server, size, 4, |stream| drawn(stream, 20));
        let mut reads = server.reads();
        reads.retain(|path, _| path.contains("shard-"));
        assert!(
            reads.len() >= 8 && reads.values().all(|count| *count == 1),
            "{reads:?}"
        );
    }
}

#[test]
fn restored_streams_draw_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let whole = on_ranks(&server, 1, 4, |stream| drawn(stream, 40)).remove(0);
    let state = on_ranks(&server, 1, 4, |stream| {
        drawn(stream, 23);
        stream.state().unwrap()
    });
    let rest = on_ranks(&server, 2, 4, |stream| {
        stream.restore(&state[0]).unwrap();
        let batches = (23..40).map(|step| stream.draw(step, 7, ()).unwrap());
        batches
            .flatten()
            .map(|item| item.frame)
            .collect::<Vec<u64>>()
    });
    let expected: Vec<u64> = whole[23 * 7..].iter().map(|(frame, ..)| *frame).collect();
    assert_eq!(rest, [expected.clone(), expected]);
}
