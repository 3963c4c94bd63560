//! Branches, routes and memory limits.

use driftless_engine::{SamplerParams, Snapshot};

use super::super::ground_truth::Start;
use driftless_data::Action;

use super::*;

fn start() -> HistoryEntry {
    HistoryEntry::new(
        FrameOrigin::Start(Start::Clip),
        SamplerParams::default(),
        0,
        0,
        0.0,
    )
}

fn step(action: u32) -> HistoryEntry {
    HistoryEntry::new(
        FrameOrigin::Step(action.into()),
        SamplerParams::default(),
        1,
        0,
        0.0,
    )
}

fn snapshot(numbers: usize) -> PlayerSnapshot {
    PlayerSnapshot::Learned(Snapshot {
        memory: None,
        frame: 0,
        state: vec![0.0; numbers],
        outcome: None,
        image: Vec::new(),
    })
}

/// A start and `frames` frames, frame n under action n.
fn played(frames: u32) -> History {
    let mut history = History::default();
    history.push(start());
    for n in 1..=frames {
        history.push(step(n));
    }
    history
}

fn actions(history: &History, place: TimelinePosition) -> Vec<Action> {
    let episode = history.episode(place);
    episode.iter().map(|(_, entry)| entry.action()).collect()
}

fn place(branch: u32, index: usize) -> TimelinePosition {
    TimelinePosition { branch, index }
}

#[test]
fn playing_on_after_rewind_forks() {
    let mut history = played(4);
    assert_eq!(history.position(), Some(place(0, 4)));
    history.move_to(place(0, 2));
    assert_eq!(history.push(step(9)), place(1, 3));
    assert_eq!(history.push(step(8)), place(1, 4));
    assert_eq!(actions(&history, place(1, 4)), [0, 1, 2, 9, 8]);
    assert_eq!(actions(&history, place(0, 4)), [0, 1, 2, 3, 4]);
    let branches = history.branches();
    let summary: Vec<_> = branches
        .iter()
        .map(|b| (b.branch, b.parent, b.fork_index, b.end))
        .collect();
    assert_eq!(summary, [(0, None, 0, 5), (1, Some(0), 3, 5)]);
}

#[test]
fn route_begins_at_nearest_snapshot() {
    let mut history = played(3);
    history.store_snapshot(snapshot(1));
    for n in 4..8 {
        history.push(step(n));
    }
    let route = |index, by_step| {
        let found = history.route(place(0, index), by_step).unwrap();
        let steps: Vec<Action> = found.steps.iter().map(HistoryEntry::action).collect();
        (
            found.snapshot.is_some(),
            steps.iter().map(|action| action.index).collect::<Vec<_>>(),
        )
    };
    assert_eq!(route(6, false), (true, vec![4, 5, 6]));
    assert_eq!(route(3, false), (true, vec![]));
    assert_eq!(route(3, true), (false, vec![0, 1, 2, 3]));
    assert_eq!(route(2, false), (false, vec![0, 1, 2]));
    assert_eq!(route(0, true), (false, vec![0]));
    assert!(history.route(place(0, 8), false).is_none());
    assert!(history.route(place(1, 0), false).is_none());
}

#[test]
fn route_stops_at_a_start() {
    let mut history = played(3);
    history.push(start());
    history.push(step(7));
    let route = history.route(place(0, 5), false).unwrap();
    assert_eq!(route.steps.len(), 2);
    let (from, _, actions) = route.since_start.unwrap();
    assert_eq!((from, actions), (Start::Clip, vec![Action::from(7)]));
    assert_eq!(self::actions(&history, place(0, 2)), [0, 1, 2]);
}

#[test]
fn branches_share_snapshots_and_images() {
    let mut history = played(2);
    history.store_snapshot(snapshot(1));
    history.store_image(place(0, 2), [1, 2, 3].into());
    history.fork();
    history.push(step(5));
    assert_eq!(history.image(place(1, 2)).as_deref(), Some(&[1, 2, 3][..]));
    assert!(history.drop_branch(0));
    assert!(
        history
            .route(place(1, 3), false)
            .unwrap()
            .snapshot
            .is_some()
    );
    assert!(!history.drop_branch(1), "it is the current branch");
    assert!(!history.drop_branch(7), "there is no such branch");
    // What only the dropped branch had goes when the next one is dropped.
    let mut history = played(2);
    history.move_to(place(0, 1));
    history.push(step(5));
    history.store_image(place(0, 2), [0; 3].into());
    history.fork();
    history.drop_branch(0);
    assert_eq!(history.image_bytes, 3);
    history.drop_branch(1);
    assert!(history.images.is_empty() && history.image_bytes == 0);
}

#[test]
fn dropped_branch_is_restored() {
    let mut history = played(2);
    history.move_to(place(0, 1));
    history.push(step(5));
    let before = history.branches();
    history.drop_branch(0);
    history.restore_branch();
    assert_eq!(history.branches(), before);
    // It is restored once.
    history.restore_branch();
    assert_eq!(history.branches(), before);
}

#[test]
fn oldest_branch_is_dropped() {
    let mut history = played(3);
    for _ in 0..MAX_BRANCHES {
        history.move_to(TimelinePosition {
            index: 1,
            ..history.position().unwrap()
        });
        history.push(step(1));
    }
    let branches = history.branches();
    assert_eq!(branches.len(), MAX_BRANCHES);
    assert_eq!(branches[0].branch, 1);
}

#[test]
fn snapshots_get_sparser_with_age() {
    let mut history = played(0);
    let numbers = HistoryLimits::default().snapshots / 4 / 40;
    // Zeroed pages that are never touched take no memory.
    for n in 1..400 {
        history.push(step(n));
        history.store_snapshot(snapshot(numbers));
    }
    assert!(history.snapshots.len() <= 40, "{}", history.snapshots.len());
    let ids: Vec<u64> = history.snapshots.keys().copied().collect();
    let newest = &ids[ids.len() - 5..];
    assert!(
        newest.windows(2).all(|pair| pair[1] - pair[0] <= 2),
        "{ids:?}"
    );
    assert!(ids[1] - ids[0] > 10, "{ids:?}");
    assert!(ids[0] < 100, "old snapshots are gone: {ids:?}");
}

#[test]
fn trimming_keeps_indices() {
    let mut history = played(0);
    for n in 0..MAX_BRANCH_FRAMES as u32 + 10 {
        history.push(step(n));
        if n % 64 == 0 {
            history.store_snapshot(snapshot(1));
        }
    }
    let branch = history.branches()[0];
    assert_eq!(branch.end, MAX_BRANCH_FRAMES + 11);
    assert!(branch.first >= MAX_BRANCH_FRAMES / 8 && branch.first < MAX_BRANCH_FRAMES / 8 + 65);
    assert!(history.route(place(0, branch.first), false).is_some());
    assert!(history.route(place(0, branch.first - 1), false).is_none());
    let last = history.route(place(0, branch.end - 1), false).unwrap();
    assert_eq!(last.target.action(), MAX_BRANCH_FRAMES as u32 + 9);
}

#[test]
fn oldest_images_are_dropped_first() {
    let mut history = played(3);
    let large: Arc<[u8]> = vec![0; HistoryLimits::default().images / 2 + 1].into();
    history.store_image(place(0, 1), Arc::clone(&large));
    history.store_image(place(0, 2), large);
    assert!(history.image(place(0, 1)).is_none());
    assert!(history.image_near(place(0, 3), 1).is_some());
    assert!(history.image_near(place(0, 1), 1).is_none());
}
