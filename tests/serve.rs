//! `driftless serve` as a process: it says where it is, answers, and ends on SIGTERM with its recordings written.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use driftless_data::Episode;

fn serve(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.arg("serve").args(args);
    command
}

/// The address that a server says it is at.
fn address(server: &mut Child) -> String {
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[cfg(unix)]
#[test]
fn serves_until_it_is_terminated() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("games");
    let mut server = serve(&["--listen", "127.0.0.1:0", "--record"])
        .arg(&record)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = address(&mut server);
    assert!(get(&address, "/health").ends_with("ok\n"));
    assert!(get(&address, "/").contains("<title>Driftless</title>"));
    assert!(get(&address, "/metrics").contains("driftless_players 0"));
    let pid = server.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(server.wait().unwrap().success());
    // Nobody has played.
    assert_eq!(std::fs::read_dir(&record).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_served_is_said_in_a_line() {
    let pong = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong");
    let pong = pong.to_str().unwrap();
    for (args, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "or a --token-file"),
        (&["--token-file", "no-such-file"], "no-such-file"),
        (&["--world", "no-such-world"], "no-such-world"),
        (&["--world", "pong", "--world", pong], "pong: given twice"),
        (&["--tls", "none.crt", "none.key"], "none.crt"),
        (&["--threads", "0"], "expected at least 1"),
    ] {
        let Output { status, stderr, .. } = serve(args).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
}

/// A server that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn play(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    command.arg("play").args(args).output().unwrap()
}

#[cfg(unix)]
#[test]
fn world_elsewhere_is_played_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "correct-horse-battery\n").unwrap();
    let token = token.to_str().unwrap();
    let server = serve(&["--listen", "127.0.0.1:0", "--token-file", token])
        .stdout(Stdio::piped())
        .spawn();
    let mut server = Running(server.unwrap());
    let url = format!("ws://{}", address(&mut server.0));
    let out = folder.path().join("game.npz");
    let out = out.to_str().unwrap();
    let remote = ["--remote", &url, "--token-file", token];
    let headless = ["--headless", "--frames", "9", "--out", out];
    let played = play(&[&remote[..], &["--steps=1", "--clip=1"], &headless].concat());
    let stderr = String::from_utf8(played.stderr).unwrap();
    assert!(played.status.success(), "{stderr}");
    let episode = Episode::read(Path::new(out)).unwrap();
    assert_eq!(
        (episode.frames(), episode.height, episode.width),
        (10, 64, 64)
    );
    let other = folder.path().join("other.npz");
    let headless = [
        "--headless",
        "--frames",
        "9",
        "--out",
        other.to_str().unwrap(),
    ];
    let port = url.replace("ws://", "wss://");
    for (args, expected) in [
        (&["--remote", &url][..], "wrong token"),
        (
            &[&remote[..], &["--world", "tetris"]].concat(),
            "expected one of pong",
        ),
        (
            &[&remote[..], &["--clip", "900"]].concat(),
            "starting clips 0 to",
        ),
        (
            &[&remote[..], &["--steps", "64"]].concat(),
            "expected 1 to 16",
        ),
        (&["--remote", &port], "does not speak TLS"),
        (&["--remote", "ws://127.0.0.1:1"], "no connection"),
        (&["--remote", "somewhere"], "expected wss://HOST"),
        (&["--remote", &url, "--token", "short"], "5 characters"),
        (&["--remote", &port, "--ca", token], "holds no certificate"),
    ] {
        let Output { status, stderr, .. } = play(&[args, &headless].concat());
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(!other.exists());
    }
}
