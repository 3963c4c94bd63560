//! Captions of recorded datasets, and their texts.

use std::collections::BTreeSet;

use super::*;
use crate::record::{RecordingPlan, record};
use crate::{Policy, Simulator as _};

fn recorded(world: SimulatorKind, frames: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plan = RecordingPlan {
        world,
        policy: Policy::Mixed,
        seed: 3,
        world_seed: None,
        frames,
        episode_frames: frames / 2,
    };
    record(&plan, &folder.path().join("data"), &|_| true).unwrap();
    folder
}

fn plan() -> CaptionPlan {
    CaptionPlan {
        variants: 3,
        ..CaptionPlan::default()
    }
}

#[test]
fn both_worlds_are_described_the_same_way_each_time() {
    for world in SimulatorKind::ALL {
        let root = recorded(world, 160);
        let folder = root.path().join("data");
        let described = describe(&folder, &plan(), &|_| true).unwrap();
        assert_eq!(described, describe(&folder, &plan(), &|_| true).unwrap());
        // Two episodes of 80 frames.
        assert_eq!(described.clips, 2 * 17);
        assert!(
            described.captions.len() > 20,
            "{}",
            described.captions.len()
        );
        for caption in &described.captions {
            assert_eq!(caption.texts.keys().collect::<Vec<_>>(), ["en", "ru"]);
            let facts: Vec<Fact> = caption
                .facts
                .iter()
                .map(|fact| fact.parse().unwrap())
                .collect();
            assert!(facts.is_sorted() && !facts.is_empty());
            for texts in caption.texts.values() {
                let different: BTreeSet<_> = texts.iter().collect();
                assert_eq!(different.len(), texts.len());
            }
        }
        driftless_data::captions::write(&folder, &described.captions).unwrap();
        let read = driftless_data::captions::read(&folder).unwrap();
        assert_eq!(read, Some(described.captions));
        let other = CaptionPlan { seed: 1, ..plan() };
        assert_ne!(
            describe(&folder, &other, &|_| true).unwrap().captions,
            read.unwrap()
        );
    }
}

#[test]
fn facts_are_those_of_the_clip() {
    let root = recorded(SimulatorKind::Maze, 160);
    let folder = root.path().join("data");
    let described = describe(&folder, &plan(), &|_| true).unwrap();
    let (_, episodes) = manifest(&folder).unwrap();
    assert_eq!(frames(&folder).unwrap(), 160);
    for caption in described.captions {
        let of_file = |episode: &&ManifestEpisode| episode.file == caption.file;
        let recorded = episodes.iter().find(of_file).unwrap();
        let path = folder.join(&recorded.file);
        let episode = Episode::read(&path).unwrap();
        let truth = Truth::of(SimulatorKind::Maze, &episode, &path, recorded.seed).unwrap();
        let (motion, sights) = truth.facts(caption.start..caption.start + 16);
        let all: Vec<String> = motion.iter().chain(&sights).map(Fact::to_string).collect();
        assert!(caption.facts.iter().all(|fact| all.contains(fact)));
        let moves = caption
            .facts
            .iter()
            .filter(|fact| fact.starts_with("motion:"))
            .count();
        assert!(
            moves == 0 || moves == motion.len(),
            "a part of the motion alone"
        );
    }
}

/// Beginnings of words that name a side or a direction, in each language: left, ahead, right.
const SIDES: [[&[&str]; 3]; 2] = [
    [&["left"], &["ahead", "front", "middle"], &["right"]],
    [
        &["слев", "лев"],
        &["впереди", "прямо", "посередине"],
        &["справ", "прав"],
    ],
];
/// Those that name a wall's colour.
const COLOURS: [[&[&str]; 5]; 2] = [
    [
        &["red", "brick"],
        &["teal", "turquoise", "blue"],
        &["yellow", "ochre", "sand"],
        &["purple", "violet", "lilac"],
        &["green ", "grass"],
    ],
    [
        &["красн", "террако"],
        &["бирюз", "сине-"],
        &["жёлт", "песоч", "охр"],
        &["фиолет", "лилов", "сирен"],
        &["зелён", "оливк"],
    ],
];

/// Those that name a pillar and a ball.
const NOUNS: [[&[&str]; 2]; 2] = [
    [&["pillar", "column", "post"], &["ball", "sphere"]],
    [&["столб", "колонна"], &["шар", "мяч"]],
];

/// Whether a text has a word that begins so.
fn has(text: &str, beginnings: &[&str]) -> bool {
    let words = |beginning: &&str| {
        text.split(' ')
            .any(|word| format!("{word} ").starts_with(*beginning))
    };
    beginnings.iter().any(words)
}

#[test]
fn texts_name_side_and_colour() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (l, language) in Language::ALL.into_iter().enumerate() {
        for (s, side) in Side::ALL.into_iter().enumerate() {
            for colour in 0..WALL_NAMES.len() {
                for text in grammar::texts(language, &[Fact::Wall(side, colour)], 8, &mut rng) {
                    let straight = text.replace("straight ahead", "ahead");
                    for (i, words) in SIDES[l].iter().enumerate() {
                        assert_eq!(has(&straight, words), i == s, "{text}: {side:?}");
                    }
                    assert!(has(&text, COLOURS[l][colour]), "{text}: {colour}");
                }
            }
            for object in 0..OBJECT_NAMES.len() {
                let fact = Fact::Object(Place::At(side), object);
                for text in grammar::texts(language, &[fact], 8, &mut rng) {
                    for (i, words) in SIDES[l].iter().enumerate() {
                        assert_eq!(has(&text, words), i == s, "{text}: {side:?}");
                    }
                    let nouns = NOUNS[l];
                    assert_eq!(
                        [0, 1].map(|i| has(&text, nouns[i])),
                        [object % 2 == 0, object % 2 == 1]
                    );
                }
            }
        }
    }
}

#[test]
fn texts_tell_the_motions_in_order() {
    use MotionKind::{Forward, ForwardLeft, StrafeRight, TurnLeft, TurnRight};
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for kinds in [
        [TurnLeft, TurnRight],
        [StrafeRight, ForwardLeft],
        [ForwardLeft, TurnRight],
    ] {
        let facts = [Fact::Motion(0, kinds[0]), Fact::Motion(1, kinds[1])];
        for (language, words) in Language::ALL
            .into_iter()
            .zip([["left", "right"], ["лев", "прав"]])
        {
            for text in grammar::texts(language, &facts, 12, &mut rng) {
                let [left, right] = words.map(|word| text.find(word));
                assert!(left.is_some() && right.is_some(), "{text}");
                assert_eq!(left < right, kinds[0] != StrafeRight, "{text}");
            }
        }
    }
    for text in grammar::texts(Language::Russian, &[Fact::Motion(0, Forward)], 12, &mut rng) {
        assert!(
            !has(&text, SIDES[1][0]) && !has(&text, SIDES[1][2]),
            "{text}"
        );
    }
}

#[test]
fn texts_are_short_and_of_a_small_vocabulary() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for language in Language::ALL {
        let mut words = BTreeSet::new();
        let mut longest = 0;
        for _ in 0..6000 {
            let motion = (0..rng.random_range(0..=3))
                .map(|phase| Fact::Motion(phase, MotionKind::ALL[rng.random_range(0..9)]));
            let motion: Vec<Fact> = motion.collect();
            let walls = Side::ALL.map(|side| Fact::Wall(side, rng.random_range(0..5)));
            let place =
                [Place::Seen, Place::At(Side::ALL[rng.random_range(0..3)])][rng.random_range(0..2)];
            let object = Fact::Object(place, rng.random_range(0..4));
            let facts = chosen(motion, [&walls[..], &[object]].concat(), &mut rng);
            let road = (0..rng.random_range(0..=2))
                .map(|i| Fact::Road(i, Bend::ALL[rng.random_range(0..3)]));
            let road: Vec<Fact> = road.collect();
            let drive = [
                Fact::Pace(Pace::ALL[rng.random_range(0..5)]),
                Fact::Ground(Ground::ALL[rng.random_range(0..4)]),
            ];
            for facts in [facts, [&road[..], &drive].concat()] {
                let texts = grammar::texts(language, &facts, 2, &mut rng);
                assert_eq!(texts.len(), 2, "{facts:?}");
                for text in texts {
                    let found = text.split(|c: char| !c.is_alphabetic() && c != '-');
                    let found: Vec<&str> = found.filter(|word| !word.is_empty()).collect();
                    longest = longest.max(found.len());
                    words.extend(found.into_iter().map(str::to_owned));
                    assert!(
                        !text.contains(['{', '}']) && !text.contains("  ") && text == text.trim(),
                        "{text}"
                    );
                }
            }
        }
        assert!(longest <= grammar::MAX_WORDS, "{longest}");
        assert!(
            (150..=300).contains(&words.len()),
            "{language:?}: {} {words:?}",
            words.len()
        );
    }
}

#[test]
fn other_datasets_are_refused() {
    let root = recorded(SimulatorKind::Maze, 40);
    let folder = root.path().join("data");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let error = |text: Option<String>| {
        let path = folder.join("manifest.json");
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let text = describe(&folder, &plan(), &|_| true)
            .unwrap_err()
            .to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    for other in [None, Some("{}"), Some("[]"), Some(r#"{"world": "pong"}"#)] {
        let text = error(other.map(str::to_owned));
        assert!(
            text.contains("manifest.json") && text.contains("write your own"),
            "{text}"
        );
        std::fs::write(folder.join("manifest.json"), &manifest).unwrap();
    }
    let swapped = error(Some(manifest.replace("\"seed\": ", "\"seed\": 1")));
    assert!(
        swapped.contains("episode_00000.npz: its first frame is not that of the maze"),
        "{swapped}"
    );
    let without = error(Some(manifest.replace("\"seed\"", "\"sown\"")));
    assert!(
        without.contains("manifest.json: missing field `seed`"),
        "{without}"
    );
    std::fs::write(folder.join("manifest.json"), &manifest).unwrap();
    assert!(describe(&root.path().join("none"), &plan(), &|_| true).is_err());
    let interrupted = describe(&folder, &plan(), &|_| false)
        .unwrap_err()
        .to_string();
    assert!(interrupted.contains("interrupted"), "{interrupted}");
    for (lengths, stride, variants) in [
        (vec![0], 1, 1),
        (vec![16, 257], 1, 1),
        (vec![], 1, 1),
        (vec![16], 0, 1),
        (vec![16], 1, 0),
    ] {
        let plan = CaptionPlan {
            lengths,
            stride,
            variants,
            ..plan()
        };
        assert!(
            describe(&folder, &plan, &|_| true)
                .unwrap_err()
                .is_argument()
        );
    }
    // Longer than the episodes: nothing to say.
    let long = CaptionPlan {
        lengths: vec![64],
        ..plan()
    };
    assert_eq!(describe(&folder, &long, &|_| true).unwrap().clips, 0);
}

#[test]
fn each_length_has_captions_of_its_own() {
    let root = recorded(SimulatorKind::Maze, 160);
    let folder = root.path().join("data");
    let of = |lengths: &[usize]| {
        let plan = CaptionPlan {
            lengths: lengths.to_vec(),
            ..plan()
        };
        describe(&folder, &plan, &|_| true).unwrap()
    };
    let (short, long, both) = (of(&[16]), of(&[32]), of(&[16, 32]));
    assert_eq!(long.clips, 2 * 13);
    assert_eq!(both.clips, short.clips + long.clips);
    assert!(!long.captions.is_empty());
    let of_length = |frames: usize| -> Vec<_> {
        let captions = both.captions.iter();
        captions.filter(|c| c.frames == frames).cloned().collect()
    };
    assert_eq!(of_length(16), short.captions);
    assert_eq!(of_length(32), long.captions);
}

#[test]
fn many_phases_begin_once() {
    use MotionKind::{Back, Forward, TurnLeft, TurnRight};
    let kinds = [Forward, TurnLeft, Forward, TurnRight, Back];
    let facts: Vec<Fact> = (0..).zip(kinds).map(|(i, k)| Fact::Motion(i, k)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (language, first) in Language::ALL.into_iter().zip(["first ", "сначала "]) {
        let texts = grammar::texts(language, &facts, 16, &mut rng);
        assert_eq!(texts.len(), 16);
        for text in texts {
            assert!(text.matches(first).count() <= 1, "{text}");
        }
    }
}

#[test]
fn stills_have_no_motion() {
    let root = recorded(SimulatorKind::Maze, 80);
    let stills = CaptionPlan {
        lengths: vec![1],
        ..plan()
    };
    let described = describe(&root.path().join("data"), &stills, &|_| true).unwrap();
    assert!(!described.captions.is_empty());
    let facts = described.captions.iter().flat_map(|caption| &caption.facts);
    assert!(facts.into_iter().all(|fact| !fact.starts_with("motion")));
    assert_eq!(Maze::new(1).state().len(), 5);
}
