//! Messages come back whole, and what is wrong is refused by name.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::*;

fn requests() -> Vec<Request> {
    let mut settings = Map::new();
    settings.insert("steps".into(), json!(4));
    vec![
        Request::Hello {
            version: VERSION,
            token: Some("a token of the server".into()),
        },
        Request::Join {
            world: "pong".into(),
            clip: 2,
            seed: Some(u64::MAX),
            settings: settings.clone(),
            pictures: Pictures::Png,
            paused: true,
        },
        Request::Resume {
            game: "0123456789abcdef".into(),
        },
        Request::Hold {
            action: 2,
            axes: vec![-0.5, 1.0],
            input: 17,
        },
        Request::Ack { frame: u32::MAX },
        Request::Latency { ms: 41.5 },
        Request::Settings { values: settings },
        Request::Seed { seed: None },
        Request::Pace { fps: 15.0 },
        Request::Repeat { frames: 4 },
        Request::Autoplay { on: true },
        Request::Ends { restart: false },
        Request::Pause { on: true },
        Request::Step {},
        Request::Reset { clip: Some(1) },
        Request::Seek {
            branch: 1,
            index: 120,
        },
        Request::NewBranch {},
        Request::DeleteBranch { branch: 3 },
        Request::RestoreBranch {},
        Request::Truth { on: false },
        Request::Beside { branch: 0 },
        Request::Pictures {
            pictures: Pictures::Jpeg,
        },
        Request::Leave {},
    ]
}

fn header() -> FrameHeader {
    FrameHeader {
        format: PictureFormat::Png,
        flags: FrameFlags {
            paused: true,
            ended: false,
            truth: true,
        },
        frame: 7,
        number: 300,
        branch: 2,
        index: 310,
        input: 9,
        waited_ms: 12.5,
        made_ms: 3.25,
        score: -4.0,
        size: [640, 480],
        picture: 5,
        action: Action::with_axes(1, &[0.25, -1.0]),
        axes: 2,
        seed: u64::MAX - 1,
        clip: 3,
        outcome: Some([-1.0, 0.75]),
    }
}

#[test]
fn requests_come_back_whole() {
    for request in requests() {
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(Request::parse(&text).unwrap(), request, "{text}");
    }
}

#[test]
fn what_is_left_out_has_defaults() {
    assert_eq!(
        Request::parse(r#"{"type":"join","world":"maze"}"#).unwrap(),
        Request::Join {
            world: "maze".into(),
            clip: 0,
            seed: None,
            settings: Map::new(),
            pictures: Pictures::Auto,
            paused: false,
        }
    );
    let action = Action::with_axes(2, &[0.5, 0.0]);
    let axes = vec![0.5];
    assert_eq!(
        Request::hold(&action, 1),
        Request::Hold {
            action: 2,
            axes,
            input: 1
        }
    );
    assert_eq!(
        Request::parse(r#"{"type":"reset"}"#).unwrap(),
        Request::Reset { clip: None }
    );
}

#[test]
fn faults_are_named() {
    let long = format!(r#"{{"type":"join","world":"{}"}}"#, "w".repeat(300));
    let longer = "x".repeat(MAX_REQUEST_BYTES + 1);
    for (text, expected) in [
        ("", "EOF"),
        ("[1]", "expected"),
        (r#"{"world":"pong"}"#, "missing field `type`"),
        (r#"{"type":"shutdown"}"#, "unknown variant `shutdown`"),
        (r#"{"type":"step","times":9}"#, "unknown field `times`"),
        (
            r#"{"type":"hold","action":1,"input":1,"key":"W"}"#,
            "unknown field `key`",
        ),
        (r#"{"type":"hold","action":1}"#, "missing field `input`"),
        (r#"{"type":"hold","action":-1,"input":1}"#, "-1"),
        (
            r#"{"type":"hold","action":1,"input":0}"#,
            "`input` is 0, expected at least 1",
        ),
        (
            r#"{"type":"hold","action":1,"input":1,"axes":[0,-1.5]}"#,
            "`axes` is -1.5, expected -1 to 1 each",
        ),
        (
            r#"{"type":"hold","action":1,"input":1,"axes":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"#,
            "`axes` is 17 numbers, expected at most 16",
        ),
        (
            r#"{"type":"repeat","frames":0}"#,
            "`frames` is 0, expected 1 to 60",
        ),
        (
            r#"{"type":"pace","fps":0}"#,
            "`fps` is 0, expected 0.1 to 240",
        ),
        (r#"{"type":"latency","ms":-1}"#, "`ms` is -1"),
        (
            r#"{"type":"pictures","pictures":"gif"}"#,
            "unknown variant `gif`",
        ),
        (&long, "`world` is 300 bytes long, expected at most 256"),
        (&longer, "4097 bytes, expected at most 4096"),
    ] {
        let error = Request::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count().max(1), 1, "{error}");
    }
}

#[test]
fn refusals_do_not_repeat_control_characters() {
    let text = format!("{{\"type\":\"\\u001b[2J{}\"}}", "n".repeat(3000));
    let error = Request::parse(&text).unwrap_err().to_string();
    assert!(error.chars().count() <= 200 && !error.contains('\u{1b}'));
}

#[test]
fn frames_come_back_whole() {
    let mut bytes = header().to_bytes();
    assert_eq!(bytes.len(), HEADER_BYTES + 8);
    bytes.extend(b"dreamtruth");
    let (read, picture, truth) = FrameHeader::parse(&bytes).unwrap();
    assert_eq!(
        (read, picture, truth),
        (header(), &b"dream"[..], &b"truth"[..])
    );
    for length in 0..bytes.len() - b"truth".len() + 1 {
        assert_eq!(FrameHeader::parse(&bytes[..length]), None, "{length}");
    }
    bytes[0] = 1;
    assert_eq!(FrameHeader::parse(&bytes), None);
    let start = FrameHeader {
        outcome: None,
        picture: 0,
        ..header()
    };
    let bytes = [start.to_bytes(), b"truth".to_vec()].concat();
    assert_eq!(FrameHeader::parse(&bytes).unwrap().0, start);
}

/// A request with a few bytes changed, copied, or taken out, mostly of characters that JSON uses.
fn mutated(text: &str, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let used = b"{}[]\":,\\0123456789-+.eEtruefalsn \xff\xc3\x00";
        match rng.random_range(0..4) {
            0 if at < bytes.len() => bytes[at] = used[rng.random_range(0..used.len())],
            1 => bytes.insert(at, rng.random()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let end = rng.random_range(at..=bytes.len());
                let part = bytes[at..end].repeat(rng.random_range(1..4));
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn mutated_messages_never_panic() {
    let count = std::env::var("DRIFTLESS_FUZZ");
    let count: u64 = count.ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let texts: Vec<String> = requests()
        .iter()
        .map(|request| serde_json::to_string(request).unwrap())
        .collect();
    let mut accepted = 0;
    for number in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        rng.set_stream(number);
        let bytes = mutated(&texts[rng.random_range(0..texts.len())], &mut rng);
        // As the connection does: other than UTF-8 never gets here.
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        match Request::parse(text) {
            Ok(request) => {
                let again = serde_json::to_string(&request).unwrap();
                assert_eq!(Request::parse(&again).unwrap(), request, "{number}");
                accepted += 1;
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{number}: {error}"),
        }
        let mut frame = header().to_bytes();
        frame.extend(b"dreamtruth");
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..frame.len());
            frame[at] = rng.random();
        }
        frame.truncate(rng.random_range(0..=frame.len()));
        if let Some((header, picture, _)) = FrameHeader::parse(&frame) {
            assert_eq!(header.picture as usize, picture.len());
        }
    }
    #[expect(
        clippy::print_stdout,
        reason = "the counts are the result of a longer run"
    )]
    {
        println!("accepted {accepted} of {count} mutated messages");
    }
}
