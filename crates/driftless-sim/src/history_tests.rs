//! What was played is found again.

use super::*;
use driftless_engine::Snapshot;

fn start() -> Entry {
    Entry::new(
        Made::Start(Start::Context),
        SamplerParams::default(),
        0,
        0,
        0.0,
    )
}

fn step(action: u32) -> Entry {
    Entry::new(Made::Step(action), SamplerParams::default(), 1, 0, 0.0)
}

fn saved(numbers: usize) -> Saved {
    Saved::Dream(Snapshot {
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

fn actions(history: &History, place: Place) -> Vec<u32> {
    let episode = history.episode(place);
    episode.iter().map(|(_, entry)| entry.action()).collect()
}

fn place(branch: u32, index: usize) -> Place {
    Place { branch, index }
}

#[test]
fn playing_on_from_an_earlier_frame_begins_a_branch_and_leaves_the_first_as_it_is() {
    let mut history = played(4);
    assert_eq!(history.at(), Some(place(0, 4)));
    history.turn_to(place(0, 2));
    assert_eq!(history.push(step(9)), place(1, 3));
    assert_eq!(history.push(step(8)), place(1, 4));
    assert_eq!(actions(&history, place(1, 4)), [0, 1, 2, 9, 8]);
    assert_eq!(actions(&history, place(0, 4)), [0, 1, 2, 3, 4]);
    let branches = history.branches();
    let told: Vec<_> = branches
        .iter()
        .map(|b| (b.branch, b.parent, b.forked, b.end))
        .collect();
    assert_eq!(told, [(0, None, 0, 5), (1, Some(0), 3, 5)]);
}

#[test]
fn the_way_to_a_frame_begins_at_the_nearest_snapshot_or_start_before_it() {
    let mut history = played(3);
    history.keep_saved(saved(1));
    for n in 4..8 {
        history.push(step(n));
    }
    let way = |index, by_a_step| {
        let route = history.route(place(0, index), by_a_step).unwrap();
        let steps: Vec<u32> = route.steps.iter().map(Entry::action).collect();
        (route.saved.is_some(), steps)
    };
    assert_eq!(way(6, false), (true, vec![4, 5, 6]));
    assert_eq!(way(3, false), (true, vec![]));
    assert_eq!(way(3, true), (false, vec![0, 1, 2, 3]));
    assert_eq!(way(2, false), (false, vec![0, 1, 2]));
    assert_eq!(way(0, true), (false, vec![0]));
    assert!(history.route(place(0, 8), false).is_none());
    assert!(history.route(place(1, 0), false).is_none());
}

#[test]
fn a_start_ends_the_way_back() {
    let mut history = played(3);
    history.push(start());
    history.push(step(7));
    let route = history.route(place(0, 5), false).unwrap();
    assert_eq!(route.steps.len(), 2);
    let (from, _, actions) = route.since_start.unwrap();
    assert_eq!((from, actions), (Start::Context, vec![7]));
    assert_eq!(self::actions(&history, place(0, 2)), [0, 1, 2]);
}

#[test]
fn branches_share_snapshots_and_pictures_until_none_of_them_is_left() {
    let mut history = played(2);
    history.keep_saved(saved(1));
    history.keep_picture(place(0, 2), [1, 2, 3].into());
    history.fork();
    history.push(step(5));
    assert_eq!(
        history.picture(place(1, 2)).as_deref(),
        Some(&[1, 2, 3][..])
    );
    assert!(history.drop_branch(0));
    assert!(history.route(place(1, 3), false).unwrap().saved.is_some());
    assert!(!history.drop_branch(1), "it is played");
    assert!(!history.drop_branch(7), "it is unknown");
    // What only the dropped branch had goes with it.
    let mut history = played(2);
    history.turn_to(place(0, 1));
    history.push(step(5));
    history.keep_picture(place(0, 2), [0; 3].into());
    history.drop_branch(0);
    assert!(history.pictures.is_empty() && history.picture_bytes == 0);
}

#[test]
fn of_too_many_branches_the_first_goes() {
    let mut history = played(3);
    for _ in 0..MAX_BRANCHES {
        history.turn_to(Place {
            index: 1,
            ..history.at().unwrap()
        });
        history.push(step(1));
    }
    let branches = history.branches();
    assert_eq!(branches.len(), MAX_BRANCHES);
    assert_eq!(branches[0].branch, 1);
}

#[test]
fn snapshots_stay_within_their_memory_and_get_sparser_with_age() {
    let mut history = played(0);
    let numbers = SAVED_BYTES / 4 / 40;
    // Never allocated: zeroed pages that nobody touches.
    for n in 1..400 {
        history.push(step(n));
        history.keep_saved(saved(numbers));
    }
    assert!(history.saved.len() <= 40, "{}", history.saved.len());
    let ids: Vec<u64> = history.saved.keys().copied().collect();
    let newest = &ids[ids.len() - 5..];
    assert!(
        newest.windows(2).all(|pair| pair[1] - pair[0] <= 2),
        "{ids:?}"
    );
    assert!(ids[1] - ids[0] > 10, "{ids:?}");
    assert!(ids[0] < 100, "the old are not forgotten: {ids:?}");
}

#[test]
fn a_very_long_game_forgets_its_oldest_frames_and_keeps_its_numbering() {
    let mut history = played(0);
    for n in 0..MAX_FRAMES as u32 + 10 {
        history.push(step(n));
        if n % 64 == 0 {
            history.keep_saved(saved(1));
        }
    }
    let branch = history.branches()[0];
    assert_eq!(branch.end, MAX_FRAMES + 11);
    assert!(branch.first >= MAX_FRAMES / 8 && branch.first < MAX_FRAMES / 8 + 65);
    assert!(history.route(place(0, branch.first), false).is_some());
    assert!(history.route(place(0, branch.first - 1), false).is_none());
    let last = history.route(place(0, branch.end - 1), false).unwrap();
    assert_eq!(last.last.action(), MAX_FRAMES as u32 + 9);
}

#[test]
fn the_oldest_pictures_go_first() {
    let mut history = played(3);
    let large: Arc<[u8]> = vec![0; PICTURE_BYTES / 2 + 1].into();
    history.keep_picture(place(0, 1), Arc::clone(&large));
    history.keep_picture(place(0, 2), large);
    assert!(history.picture(place(0, 1)).is_none());
    assert!(history.picture_near(place(0, 3), 1).is_some());
    assert!(history.picture_near(place(0, 1), 1).is_none());
}
