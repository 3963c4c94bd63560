//! What nobody may do to a server, and what a server refuses to start with.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{Player, Running, TIMEOUT, hello, join, options};
use driftless_data::Action;
use driftless_serve::protocol::{Reply, Request, VERSION};
use driftless_serve::{Server, ServerOptions};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::Message;

const TOKEN: &str = "a-token-for-this-test";

/// A file that holds the token.
fn token_file(folder: &Path) -> PathBuf {
    let file = folder.join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    file
}

#[test]
fn only_the_token_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(ServerOptions {
        token_file: Some(token_file(folder.path())),
        ..options()
    });
    for wrong in [
        None,
        Some(""),
        Some("a-token-for-this-tesT"),
        Some("a-token"),
    ] {
        let mut player = server.connect();
        player.say(&hello(wrong));
        assert_eq!(player.goodbye(), "wrong token", "{wrong:?}");
    }
    let mut player = server.connect();
    player.say(&hello(Some(TOKEN)));
    assert!(matches!(player.reply(), Reply::Welcome { .. }));
    player.join("pong");
    player.frame();
    let status = |headers: &str| server.get("/metrics", headers)[9..12].to_owned();
    assert_eq!(status(""), "401");
    assert_eq!(status("Authorization: Bearer a-token\r\n"), "401");
    assert_eq!(status(&format!("Authorization: Bearer {TOKEN}\r\n")), "200");
    assert!(server.get("/health", "").ends_with("ok\n"));
}

#[test]
fn nothing_comes_before_hello() {
    let server = Running::start(options());
    let refused = |first: &Request| {
        let mut player = server.connect();
        player.say(first);
        player.goodbye()
    };
    assert_eq!(refused(&join("pong")), "expected the message `hello` first");
    let other = Request::Hello {
        version: VERSION + 1,
        token: None,
    };
    assert_eq!(refused(&other), "version 3 of the protocol, expected 2");
    let mut player = server.welcome();
    player.say(&Request::Step {});
    assert!(matches!(player.reply(), Reply::Refused { reason } if reason.starts_with("no game")));
    player.say(&hello(None));
    assert_eq!(player.goodbye(), "`hello` for the second time");
}

#[test]
fn silent_connections_are_closed() {
    let mut options = options();
    options.connections.patience = Duration::from_millis(50);
    let server = Running::start(options);
    let mut player = server.connect();
    assert!(
        player
            .goodbye()
            .contains("expected the message `hello` first, and soon")
    );
    // Half a request, and no more.
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let read = std::io::Read::read(&mut stream, &mut [0; 256]);
    assert!(matches!(read, Ok(0..=255)), "{read:?}");
}

#[test]
fn faulty_messages_end_the_connection_only() {
    let server = Running::start(options());
    let mut other = server.player();
    for (message, expected) in [
        (Message::text("{}"), "missing field `type`"),
        (
            Message::text(r#"{"type":"join","world":"pong","cheat":1}"#),
            "unknown field `cheat`",
        ),
        (
            Message::text("x".repeat(5000)),
            "5000 bytes, expected at most 4096",
        ),
        (
            Message::binary(vec![0; 8]),
            "a binary message, expected text",
        ),
        // Longer than what is read at all.
        (Message::text("x".repeat(20_000)), ""),
    ] {
        let mut player = server.welcome();
        player.socket.send(message).unwrap();
        let why = player.goodbye();
        assert!(why.contains(expected), "{expected}: {why}");
        other.frame();
    }
}

#[test]
fn wishes_that_cannot_be_granted_change_nothing() {
    let server = Running::start(options());
    let mut player = server.welcome();
    let refused = |player: &mut Player<TcpStream>, request: &Request| {
        player.say(request);
        loop {
            if let Reply::Refused { reason } = player.reply() {
                return reason;
            }
        }
    };
    let nowhere = refused(&mut player, &join("../../etc/passwd"));
    assert_eq!(nowhere, "there is no world of this name on this server");
    player.join("pong");
    for (action, expected) in [
        (3.into(), "unknown action 3, expected 0 to 2"),
        (
            Action::with_axes(1, &[0.5]),
            "axis 0 is 0.5, but the world has 0",
        ),
    ] {
        let hold = Request::hold(&action, 1);
        assert_eq!(refused(&mut player, &hold), expected);
    }
    let truth = Request::Truth { on: true };
    assert!(refused(&mut player, &truth).contains("no simulator"));
    let clip = Request::Reset { clip: Some(9999) };
    assert!(refused(&mut player, &clip).contains("starting clip 9999 does not exist"));
    player.frame();
}

#[test]
fn who_does_not_read_gets_the_newest_frame() {
    let mut options = options();
    options.games.stalled = Duration::from_secs(3600);
    let server = Running::start(options);
    let (mut slow, mut other) = (server.player(), server.player());
    let first = slow.unacknowledged().header;
    let second = slow.unacknowledged().header;
    // Time passes: the other player sees a few dozen frames.
    let start = other.frame().header.number;
    let now = other
        .frame_where(|header| header.number >= start + 30)
        .header
        .number;
    slow.say(&Request::Ack {
        frame: second.frame,
    });
    let newest = slow.unacknowledged().header;
    assert_eq!((first.frame, second.frame, newest.frame), (1, 2, 3));
    assert!(
        newest.number + 10 > now - start,
        "{} of {now}",
        newest.number
    );
    assert!(server.metric("driftless_frames_replaced_total") >= 15);
}

#[test]
fn who_looks_away_pauses() {
    let mut options = options();
    options.games.stalled = Duration::from_millis(100);
    let server = Running::start(options);
    let mut player = server.player();
    player.unacknowledged();
    let second = player.unacknowledged().header.frame;
    let made = || server.metric("driftless_frames_total");
    // Until no more frames are made.
    let mut before = made();
    let mut other = server.player();
    loop {
        let frame = other.frame().header.frame;
        other.frame_where(|header| header.frame > frame + 10);
        let both = made();
        if both - before <= 13 {
            break;
        }
        before = both;
    }
    player.say(&Request::Ack { frame: second });
    let paused = player.frame().header;
    player.frame_where(|header| header.number > paused.number + 2);
}

#[test]
fn sixty_four_hostile_players_harm_nobody() {
    let mut options = options();
    options.max_players = 80;
    options.games.stalled = Duration::from_millis(500);
    let server = Running::start(options);
    let mut good = server.player();
    good.frame();
    let mut stalled = Vec::new();
    for number in 0..64 {
        let mut player = server.welcome();
        match number % 4 {
            // Stalls: never reads again.
            0 => {
                player.say(&join("pong"));
                stalled.push(player);
            }
            // Floods, some of them in a game.
            1 => {
                if number % 16 == 1 {
                    player.join("pong");
                }
                let step = serde_json::to_string(&Request::Step {}).unwrap();
                while player.socket.write(Message::text(step.as_str())).is_ok()
                    && player.socket.flush().is_ok()
                {}
            }
            // Vanishes in the middle of a frame.
            2 => {
                if number % 16 == 2 {
                    player.join("pong");
                }
                let stream = player.socket.get_mut();
                stream.write_all(&[0x81, 0xfe, 0x10]).unwrap();
            }
            // Says what is no WebSocket frame.
            _ => player.socket.get_mut().write_all(&[0xff; 64]).unwrap(),
        }
    }
    // The good player's keys are answered all the while.
    for input in 1..=8 {
        let action = 1 + input % 2;
        good.say(&Request::hold(&action.into(), input));
        good.frame_where(|header| header.input == input);
    }
    assert!(server.metric("driftless_refused_total{reason=\"rate\"}") >= 16);
}

#[test]
fn pages_of_other_sites_cannot_play() {
    let server = Running::start(options());
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let status = |origin: &str| {
        let headers = format!("{upgrade}Origin: {origin}\r\n");
        server.get("/play", &headers)[9..12].to_owned()
    };
    assert_eq!(status("https://evil.example"), "403");
    let page = server.get("/", "");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("frame-ancestors 'none'"));
    assert!(server.get("/../Cargo.toml", "").starts_with("HTTP/1.1 404"));
}

#[test]
fn play_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [chain, key] = ["a.crt", "a.key"].map(|name| folder.path().join(name));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Running::start(ServerOptions {
        tls: Some((chain, key)),
        ..options()
    });
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(made.cert.der().to_vec()))
        .unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let url = format!("wss://localhost:{}/play", server.address.port());
    let mut player = Player::over(StreamOwned::new(tls, stream), &url);
    player.say(&hello(None));
    player.join_after_welcome("pong");
    player.frame_where(|header| header.number > 3);
}

#[test]
fn what_cannot_be_served_is_refused_in_a_line() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "secret").unwrap();
    let pong = options().worlds[0].clone();
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let missing = || Some(folder.path().join("none"));
    for (wrong, expected) in [
        (
            ServerOptions {
                listen: taken.local_addr().unwrap(),
                ..options()
            },
            "in use",
        ),
        (
            ServerOptions {
                listen: everywhere,
                ..options()
            },
            "or a --token-file",
        ),
        (
            ServerOptions {
                token_file: missing(),
                ..options()
            },
            "none",
        ),
        (
            ServerOptions {
                token_file: Some(short),
                ..options()
            },
            "has 6 characters",
        ),
        (
            ServerOptions {
                max_players: 0,
                ..options()
            },
            "--max-players 0: expected 1 to 1024",
        ),
        (
            ServerOptions {
                worlds: Vec::new(),
                ..options()
            },
            "at least one --world",
        ),
        (
            ServerOptions {
                worlds: vec![pong.clone(), pong],
                ..options()
            },
            "pong: given twice",
        ),
        (
            ServerOptions {
                tls: missing().zip(missing()),
                ..options()
            },
            "none",
        ),
    ] {
        let error = Server::bind(wrong).err().expect(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
