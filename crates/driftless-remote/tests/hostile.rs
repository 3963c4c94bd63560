//! Servers that stall, flood, or send what cannot be: the game ends in one line, or waits for a better link.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure fails the test"
)]

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{Person, server_at, timing};
use driftless_data::Action;
use driftless_remote::{Error, Timing};
use driftless_serve::protocol::{FrameFlags, FrameHeader, PictureFormat, VERSION};
use driftless_sim::{LinkState, Message};
use serde_json::{Value, json};
use tungstenite::{Message as WsMessage, WebSocket, accept};

type Player = WebSocket<TcpStream>;

/// A server that does with each connection as it is told. How often it was connected to is sent.
fn server(serve: impl Fn(usize, &mut Player) + Send + 'static) -> (SocketAddr, Receiver<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, connections) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            if let Ok(mut socket) = accept(stream) {
                serve(number, &mut socket);
            }
            let _ = connected.send(number);
        }
    });
    (address, connections)
}

fn say(socket: &mut Player, reply: &Value) {
    let _ = socket.send(WsMessage::text(reply.to_string()));
}

/// The next request of this type.
fn hear(socket: &mut Player, kind: &str) -> Option<Value> {
    loop {
        let WsMessage::Text(text) = socket.read().ok()? else {
            continue;
        };
        let request: Value = serde_json::from_str(&text).unwrap();
        if request["type"] == kind {
            return Some(request);
        }
    }
}

fn world() -> Value {
    json!({
        "name": "pong", "title": "Pong", "fps": 15.0, "image": [4, 6],
        "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["ArrowUp"]}],
        "clips": 3, "truth": false, "ends": true,
        "settings": [{"name": "steps", "label": "Steps", "help": "", "kind": "number",
            "min": 1.0, "max": 16.0, "step": 1.0, "decimals": 0}],
        "defaults": {"steps": 4},
    })
}

fn welcome() -> Value {
    json!({"type": "welcome", "version": VERSION, "worlds": [world()], "players": 0, "max_players": 8})
}

fn header() -> FrameHeader {
    FrameHeader {
        format: PictureFormat::Raw,
        flags: FrameFlags::default(),
        frame: 1,
        number: 0,
        branch: 0,
        index: 0,
        input: 0,
        waited_ms: 0.0,
        made_ms: f32::NAN,
        score: 0.0,
        size: [6, 4],
        picture: 72,
        action: Action::IDLE,
        axes: 0,
        seed: 0,
        clip: 0,
        outcome: None,
    }
}

fn frame(header: &FrameHeader, picture: &[u8]) -> WsMessage {
    WsMessage::binary([&header.to_bytes(), picture].concat())
}

/// Lets a player in; returns whether one joins or comes back.
fn let_in(socket: &mut Player) -> Option<()> {
    hear(socket, "hello")?;
    say(socket, &welcome());
    let WsMessage::Text(text) = socket.read().ok()? else {
        return None;
    };
    let request: Value = serde_json::from_str(&text).ok()?;
    assert!(["join", "resume"].contains(&request["type"].as_str().unwrap()));
    say(
        socket,
        &json!({"type": "joined", "game": "k", "world": "pong", "kept": 60, "recorded": true}),
    );
    Some(())
}

/// Why a game fails after this, which the server sends when the player has joined.
fn failure_after(messages: impl Fn() -> Vec<WsMessage> + Send + 'static) -> String {
    let (address, _connections) = server(move |_, socket| {
        if let_in(socket).is_some() {
            for message in messages() {
                if socket.send(message).is_err() {
                    return;
                }
            }
            // Reads on, so that what was sent arrives.
            while socket.read().is_ok() {}
        }
    });
    let world = server_at(address).world(None).unwrap();
    Person::at(&world).failure()
}

#[test]
fn sound_server_is_played() {
    let (address, _connections) = server(|_, socket| {
        if let_in(socket).is_some() {
            let _ = socket.send(frame(&header(), &[9; 72]));
            while socket.read().is_ok() {}
        }
    });
    let mut person = Person::at(&server_at(address).world(None).unwrap());
    let frame = person.frame();
    assert_eq!(frame.image.bytes().unwrap(), [9; 72]);
    assert!(frame.timing.stages.total().is_zero());
    person.message(|message| match message {
        Message::Notice(notice) => notice.to_string().contains("records").then_some(()),
        _ => None,
    });
}

#[test]
fn other_version_is_named() {
    for (reply, expected) in [
        (
            json!({"type": "welcome", "version": 9, "worlds": [world()], "players": 0, "max_players": 8}),
            "sends version 9 of the protocol, expected 2",
        ),
        (
            json!({"type": "ended", "reason": "version 2 of the protocol, expected 1"}),
            "version 2 of the protocol, expected 1",
        ),
    ] {
        let (address, _connections) = server(move |_, socket| {
            hear(socket, "hello");
            say(socket, &reply);
        });
        let error = server_at(address).worlds().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_passing());
    }
}

#[test]
fn impossible_worlds_are_refused() {
    let mut huge = welcome();
    huge["worlds"][0]["image"] = json!([60_000, 60_000]);
    let mut nameless = welcome();
    nameless["worlds"][0]["title"] = json!("\u{1b}]0;owned\u{7}");
    for (reply, expected) in [
        (huge, "60000×60000"),
        (nameless, "a title"),
        (
            json!({"type": "welcome", "worlds": 3}),
            "no message of version",
        ),
        (
            json!({"type": "open_sesame"}),
            "unknown variant `open_sesame`",
        ),
        (json!("x".repeat(2 << 20)), "expected at most 1048576"),
    ] {
        let (address, _connections) = server(move |_, socket| {
            hear(socket, "hello");
            say(socket, &reply);
            while socket.read().is_ok() {}
        });
        let error = server_at(address).worlds().unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(expected) && error.len() < 500, "{error}");
    }
}

#[test]
fn damaged_frames_end_the_game() {
    let wrong_size = FrameHeader {
        size: [8, 4],
        picture: 96,
        ..header()
    };
    let short = FrameHeader {
        picture: 3,
        ..header()
    };
    let png = FrameHeader {
        format: PictureFormat::Png,
        picture: 5,
        ..header()
    };
    let unknown = FrameHeader {
        action: 7.into(),
        ..header()
    };
    for (message, expected) in [
        (WsMessage::binary(vec![0; 200]), "a frame that is damaged"),
        (WsMessage::binary(vec![]), "a frame that is damaged"),
        (
            frame(&wrong_size, &[0; 96]),
            "a picture of 8×4, expected 6×4",
        ),
        (frame(&short, &[0; 3]), "3 bytes, expected 72"),
        (frame(&png, b"\x89PNG\r"), "a damaged picture, expected 6×4"),
        (frame(&unknown, &[0; 72]), "unknown action 7"),
        (WsMessage::text("{"), "no message of version"),
        (
            WsMessage::text(
                r#"{"type":"branches","branches":[{"branch":1,"parent":null,"fork":0,"first":9,"end":2}]}"#,
            ),
            "branches that cannot be",
        ),
    ] {
        let failure = failure_after(move || vec![message.clone()]);
        assert!(failure.contains(expected), "{expected}: {failure}");
        assert_eq!(failure.lines().count(), 1);
    }
}

#[test]
fn picture_of_another_size_in_a_file_is_refused() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::new(4000, 4000);
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    let bytes = bytes.into_inner();
    let bomb = FrameHeader {
        format: PictureFormat::Png,
        picture: bytes.len() as u32,
        ..header()
    };
    let failure = failure_after(move || vec![frame(&bomb, &bytes)]);
    assert!(failure.contains("expected 6×4"), "{failure}");
}

#[test]
fn floods_end_the_game() {
    let notice = WsMessage::text(r#"{"type":"notice","text":"hello"}"#);
    let one = frame(&header(), &[1; 72]);
    for message in [notice, one, WsMessage::Ping(vec![1; 8].into())] {
        let failure = failure_after(move || vec![message.clone(); 20_000]);
        assert!(
            failure.contains("more messages than a game has"),
            "{failure}"
        );
    }
}

#[test]
fn stalled_server_is_left() {
    let (address, _connections) = server(|_, socket| while socket.read().is_ok() {});
    let patience = Duration::from_millis(50);
    let timing = Timing {
        patience,
        ..timing()
    };
    let error = server_at(address).with_timing(timing).worlds().unwrap_err();
    assert!(matches!(error, Error::Silent { waited, .. } if waited == patience));
}

#[test]
fn silence_in_a_game_breaks_the_link() {
    // The first connection asks for the worlds, the second falls silent, the third goes on.
    let (address, connections) = server(|number, socket| {
        if let_in(socket).is_none() {
            return;
        }
        let _ = socket.send(frame(&header(), &[number as u8; 72]));
        if number > 1 {
            while socket.read().is_ok() {}
        } else {
            // Nothing is read, so that no ping is answered, until the player has left.
            while socket.get_ref().peek(&mut [0; 1]).is_ok_and(|n| n > 0) {
                if is_closed(socket.get_ref()) {
                    return;
                }
            }
        }
    });
    let timing = Timing {
        silence: Duration::from_millis(200),
        ..timing()
    };
    let world = server_at(address).with_timing(timing).world(None).unwrap();
    assert_eq!(connections.recv().unwrap(), 0);
    let mut person = Person::at(&world);
    let reason = person.message(|message| match message {
        Message::Link(LinkState::Lost { reason, .. }) => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("says nothing for 0.2 s"), "{reason}");
    person.message(|message| (*message == Message::Link(LinkState::Up)).then_some(()));
    let frame = person.frame_where(|frame| frame.image.bytes() != Some(&[1; 72]));
    assert_eq!(frame.image.bytes().unwrap(), [2; 72]);
}

/// Takes what has come without reading it as messages; whether the other end is gone.
fn is_closed(mut stream: &TcpStream) -> bool {
    use std::io::Read as _;
    matches!(stream.read(&mut [0; 256]), Ok(0) | Err(_))
}

#[test]
fn player_who_leaves_says_so() {
    let (said, leaves) = channel();
    let (address, _connections) = server(move |_, socket| {
        if let_in(socket).is_some() {
            let _ = socket.send(frame(&header(), &[1; 72]));
            let _ = said.send(hear(socket, "leave").is_some());
        }
    });
    let mut person = Person::at(&server_at(address).world(None).unwrap());
    person.frame();
    person.quit();
    assert!(leaves.recv().unwrap());
}
