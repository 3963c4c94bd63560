//! Downloads from a server on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod server;

use std::path::{Path, PathBuf};

use driftless_hub::{Error, Hub, HubOptions, Reference, Result};
use server::{COMMIT, Server};

const WORLD: [(&str, &[u8]); 5] = [
    ("README.md", b"about"),
    ("config.json", b"{}"),
    ("contexts.npz", b"c"),
    ("dynamics.safetensors", b"d"),
    ("tokenizer.safetensors", b"t"),
];

fn hub(server: &Server, cache: &Path, offline: bool) -> Hub {
    Hub::new(HubOptions {
        cache: cache.into(),
        endpoint: Some(server.endpoint.clone()),
        token: None,
        offline,
    })
    .unwrap()
}

fn get(hub: &Hub, name: &str) -> Result<PathBuf> {
    hub.get(&Reference::parse(name).unwrap(), &mut |_| {})
}

/// A file larger than one read of the library.
fn large() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i % 251) as u8).collect()
}

#[test]
fn file_is_downloaded_once_and_found_offline() {
    let (content, cache) = (large(), tempfile::tempdir().unwrap());
    let server = Server::start(&[("models/Pong.pt", &content)]);
    let online = hub(&server, cache.path(), false);
    let mut seen = Vec::new();
    let name = Reference::parse("hf:owner/name/models/Pong.pt").unwrap();
    let path = online
        .get(&name, &mut |d| seen.push((d.done, d.total)))
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert!(path.ends_with(format!(
        "models--owner--name/snapshots/{COMMIT}/models/Pong.pt"
    )));
    assert_eq!(seen.last(), Some(&(100_000, 100_000)));
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(get(&online, "hf:owner/name/models/Pong.pt").unwrap(), path);
    // Without a name it is the only PyTorch file.
    assert_eq!(get(&online, "hf:owner/name").unwrap(), path);
    assert_eq!(server.state().asked, [0]);
    drop(server);
    let server = Server::start(&[]);
    let offline = hub(&server, cache.path(), true);
    for name in ["hf:owner/name/models/Pong.pt", "hf:owner/name"] {
        assert_eq!(get(&offline, name).unwrap(), path);
    }
    for name in ["hf:owner/name/models/Boxing.pt", "hf:owner/other"] {
        let error = get(&offline, name).unwrap_err();
        assert!(matches!(error, Error::Offline(_)), "{error}");
    }
}

#[test]
fn world_is_downloaded_as_a_folder() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&WORLD);
    let folder = get(&hub(&server, cache.path(), false), "hf:owner/name").unwrap();
    for (name, content) in &WORLD[1..] {
        assert_eq!(&std::fs::read(folder.join(name)).unwrap(), content);
    }
    assert!(!folder.join("README.md").exists());
    assert_eq!(
        get(&hub(&server, cache.path(), true), "hf:owner/name").unwrap(),
        folder
    );
}

#[test]
fn broken_download_goes_on_where_it_ended() {
    let (content, cache) = (large(), tempfile::tempdir().unwrap());
    let server = Server::start(&[("a.pt", &content)]);
    server.change(|state| state.breaks_after = Some(30_000));
    let online = hub(&server, cache.path(), false);
    let error = get(&online, "hf:owner/name/a.pt").unwrap_err();
    assert!(matches!(error, Error::Server { .. }), "{error}");
    let before = server.state().asked.len();
    server.change(|state| state.breaks_after = None);
    let path = get(&online, "hf:owner/name/a.pt").unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let asked = server.state().asked;
    assert_eq!(asked.len(), before + 1);
    assert!(asked[before] >= 30_000, "{asked:?}");
}

#[test]
fn damaged_file_is_deleted() {
    let (content, cache) = (large(), tempfile::tempdir().unwrap());
    let server = Server::start(&[("a.pt", &content)]);
    server.change(|state| state.damages = true);
    let online = hub(&server, cache.path(), false);
    let error = get(&online, "hf:owner/name/a.pt").unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    let offline = get(&hub(&server, cache.path(), true), "hf:owner/name/a.pt");
    assert!(matches!(offline, Err(Error::Offline(_))));
    server.change(|state| state.damages = false);
    let path = get(&online, "hf:owner/name/a.pt").unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
}

#[test]
fn servers_cannot_choose_where_files_go() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&[("a.pt", b"evil")]);
    server.change(|state| state.etag = Some("../../../evil".to_owned()));
    let folder = cache.path().join("a/b/c");
    let error = get(&hub(&server, &folder, false), "hf:owner/name/a.pt").unwrap_err();
    assert!(error.to_string().contains("a.pt of owner/name"), "{error}");
    assert_eq!(server.state().asked, [0; 0]);
}

#[test]
fn strange_answers_are_errors() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&[("a.pt", b"a"), ("b.pt", b"b")]);
    let online = hub(&server, cache.path(), false);
    let error = get(&online, "hf:owner/name/c.pt").unwrap_err().to_string();
    assert!(
        error.contains("c.pt of owner/name") && error.contains("404"),
        "{error}"
    );
    let error = get(&online, "hf:owner/name").unwrap_err().to_string();
    assert!(error.ends_with("the name of one: a.pt, b.pt"), "{error}");
    server.change(|state| state.redirects = true);
    let error = get(&online, "hf:owner/name/a.pt").unwrap_err();
    assert!(matches!(error, Error::Server { .. }), "{error}");
}

#[test]
fn token_is_sent_and_not_shown() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&[("a.pt", b"a")]);
    let options = HubOptions {
        cache: cache.path().into(),
        endpoint: Some(server.endpoint.clone()),
        token: Some("hf_secret".to_owned()),
        offline: false,
    };
    assert!(!format!("{options:?}").contains("hf_secret"));
    get(&Hub::new(options).unwrap(), "hf:owner/name/a.pt").unwrap();
    assert_eq!(
        server.state().authorization.as_deref(),
        Some("Bearer hf_secret")
    );
}
