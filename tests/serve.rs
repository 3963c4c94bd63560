//! `driftless serve` as a process: it says where it is, answers, and ends on SIGTERM with its recordings written.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

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
