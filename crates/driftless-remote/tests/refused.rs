//! Servers that let nobody in, and servers that are not trusted: each is named in one line.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use common::{Running, options, server_at};
use driftless_remote::{Address, Error, RemoteServer, Result, Trust};
use driftless_serve::protocol::WorldInfo;
use driftless_serve::{ServerOptions, Token};

const TOKEN: &str = "a-token-for-this-test";

fn worlds(address: &str, token: Option<&str>, ca: Option<&Path>) -> Result<Vec<WorldInfo>> {
    let token = token.map(|token| Token::new(token).unwrap());
    let trust = ca.map(Trust::read).transpose()?;
    RemoteServer::new(Address::parse(address)?, token, trust)?.worlds()
}

#[test]
fn only_the_token_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let server = Running::start(ServerOptions {
        token_file: Some(token_file),
        ..options()
    });
    let address = format!("ws://{}", server.address);
    for wrong in [None, Some("another-token-for-this")] {
        let error = worlds(&address, wrong, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{}: wrong token", server.address)
        );
        assert!(!error.is_passing());
    }
    let names: Vec<_> = worlds(&address, Some(TOKEN), None)
        .unwrap()
        .into_iter()
        .map(|world| world.name)
        .collect();
    assert_eq!(names, ["pong", "maze"]);
}

#[test]
fn unknown_world_names_the_known_ones() {
    let server = Running::start(options());
    let error = server_at(server.address)
        .world(Some("tetris"))
        .err()
        .unwrap();
    assert!(matches!(&error, Error::NoWorld { known, .. } if known == "pong, maze"));
    assert_eq!(
        server_at(server.address).world(None).unwrap().info().name,
        "pong"
    );
}

#[test]
fn nobody_there_is_said() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = server_at(address).worlds().unwrap_err();
    assert!(error.is_passing());
    assert!(error.to_string().contains("no connection"), "{error}");
}

/// A certificate for a host, and its key; marked as that of an authority or not.
fn certificate(folder: &Path, host: &str, is_ca: rcgen::IsCa) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    params.is_ca = is_ca;
    let key = rcgen::KeyPair::generate().unwrap();
    let files = ["crt", "key"].map(|kind| folder.join(format!("{host}.{kind}")));
    std::fs::write(&files[0], params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    let [certificate, key] = files;
    (certificate, key)
}

#[test]
fn certificate_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let own = certificate(folder.path(), "localhost", rcgen::IsCa::NoCa);
    let (other, _) = certificate(folder.path(), "elsewhere.example", rcgen::IsCa::NoCa);
    let server = Running::start(ServerOptions {
        tls: Some(own.clone()),
        ..options()
    });
    let port = server.address.port();
    let secure = format!("wss://localhost:{port}");
    assert_eq!(worlds(&secure, None, Some(&own.0)).unwrap().len(), 2);
    // Signed by nobody that browsers know; another one; for another name.
    let numbered = format!("wss://127.0.0.1:{port}");
    for (address, ca) in [
        (&secure, None),
        (&secure, Some(other.as_path())),
        (&numbered, Some(own.0.as_path())),
    ] {
        let error = worlds(address, None, ca).unwrap_err();
        assert!(matches!(error, Error::Certificate { .. }), "{error}");
        assert!(error.to_string().contains("its certificate is not trusted"));
    }
    let plain = worlds(&format!("ws://localhost:{port}"), None, None);
    assert!(plain.is_err());
    assert!(worlds(&format!("ws://localhost:{port}"), None, Some(&own.0)).is_err());
}

#[test]
fn servers_own_certificate_may_be_an_authoritys() {
    let folder = tempfile::tempdir().unwrap();
    let authority = |host: &str| {
        let is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        certificate(folder.path(), host, is_ca)
    };
    let own = authority("localhost");
    let (other, _) = authority("elsewhere.example");
    let server = Running::start(ServerOptions {
        tls: Some(own.clone()),
        ..options()
    });
    let port = server.address.port();
    let secure = format!("wss://localhost:{port}");
    assert_eq!(worlds(&secure, None, Some(&own.0)).unwrap().len(), 2);
    for (address, ca, expected) in [
        (&secure, None, "--ca FILE"),
        (&secure, Some(&other), "--ca FILE"),
        (
            &format!("wss://127.0.0.1:{port}"),
            Some(&own.0),
            "not valid for name",
        ),
    ] {
        let error = worlds(address, None, ca.map(PathBuf::as_path)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let plain = worlds(&format!("ws://localhost:{port}"), None, None).unwrap_err();
    assert!(plain.to_string().contains("wss:// is with TLS"), "{plain}");
}

#[test]
fn server_without_tls_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, _) = certificate(folder.path(), "localhost", rcgen::IsCa::NoCa);
    let server = Running::start(options());
    let secure = format!("wss://localhost:{}", server.address.port());
    let error = worlds(&secure, None, Some(&ca)).unwrap_err().to_string();
    assert!(error.contains("does not speak TLS"), "{error}");
    let elsewhere = format!("ws://{}/elsewhere", server.address);
    let error = worlds(&elsewhere, None, None).unwrap_err().to_string();
    assert!(
        error.contains("no server of worlds at this address"),
        "{error}"
    );
}
