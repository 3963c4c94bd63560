//! Shards on a server.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::reader::CacheOptions;
use crate::store::Store;
use crate::testing::{Fault, Server};

/// A server with the shards of ten episodes, at `/data/…`.
fn web(folder: &Path) -> (Server, Manifest) {
    let server = Server::web().unwrap();
    let out = folder.join("shards");
    let manifest = shards(folder, &out);
    server.put_folder(&out).unwrap();
    (server, manifest)
}

/// The path of the first shard.
fn first(manifest: &Manifest) -> String {
    format!("/data/{}", manifest.shards[0].name)
}

fn open_with(
    server: &Server,
    cache: Option<&CacheOptions>,
    stop: Stop,
) -> Result<ShardReader, Error> {
    let url = format!("{}/data", server.url());
    ShardReader::open(&Location::parse(url.as_ref()).unwrap(), cache, stop)
}

#[test]
fn passing_failures_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (server, manifest) = web(folder.path());
    let reader = open_with(&server, None, never()).unwrap();
    let path = first(&manifest);
    server.fail(
        &path,
        &[Fault::Unavailable, Fault::CutOff, Fault::Unavailable],
    );
    let found = content(&reader, 0).unwrap();
    assert_eq!(found.len() as u64, manifest.shards[0].episodes);
    assert_eq!(server.reads()[&path], 1);
}

#[test]
fn lasting_failures_name_the_shard() {
    let folder = tempfile::tempdir().unwrap();
    let (server, manifest) = web(folder.path());
    let reader = open_with(&server, None, never()).unwrap();
    let name = &manifest.shards[0].name;
    let path = first(&manifest);
    let path = path.as_str();
    let whole = server.object(path).unwrap();
    server.put(path, whole.slice(..600));
    let text = one_line(&content(&reader, 0).unwrap_err());
    let expected = format!("/data/shards.json: shard `{name}` is cut off");
    assert!(text.contains(&expected), "{text}");
    assert_eq!(server.reads()[path], 3);
    let mut flipped = whole.to_vec();
    flipped[700] ^= 1;
    server.put(path, flipped);
    let text = one_line(&content(&reader, 0).unwrap_err());
    assert!(text.contains("is damaged: its SHA-256"), "{text}");
    server.put(path, [whole.as_ref(), &[0; 512]].concat());
    let text = one_line(&content(&reader, 0).unwrap_err());
    assert!(text.contains("has more than the"), "{text}");
    server.remove(path);
    let text = one_line(&content(&reader, 0).unwrap_err());
    let expected = format!("shard `{name}` is not there");
    assert!(text.ends_with(&expected), "{text}");
}

#[test]
fn kept_shards_are_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (server, manifest) = web(folder.path());
    let cache = CacheOptions {
        folder: folder.path().join("cache"),
        bytes: 1 << 20,
    };
    for _ in 0..2 {
        let reader = open_with(&server, Some(&cache), never()).unwrap();
        for shard in 0..manifest.shards.len() {
            content(&reader, shard).unwrap();
        }
    }
    let path = first(&manifest);
    assert_eq!(server.reads()[&path], 1);
    // A kept shard that is damaged is read once more.
    let kept = cache
        .folder
        .join(format!("{}.shard", manifest.shards[0].sha256));
    std::fs::write(&kept, "damaged").unwrap();
    let reader = open_with(&server, Some(&cache), never()).unwrap();
    content(&reader, 0).unwrap();
    assert_eq!(server.reads()[&path], 2);
}

#[test]
fn waiting_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (server, manifest) = web(folder.path());
    server.silence(&first(&manifest));
    let asked = Arc::new(AtomicBool::new(false));
    let stop: Stop = {
        let asked = Arc::clone(&asked);
        Arc::new(move || asked.load(Ordering::Relaxed))
    };
    let reader = open_with(&server, None, stop).unwrap();
    asked.store(true, Ordering::Relaxed);
    assert!(matches!(content(&reader, 0), Err(Error::Interrupted)));
}

#[test]
fn missing_servers_and_manifests_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = web(folder.path());
    server.remove("/data/shards.json");
    let error = open_with(&server, None, never()).err().unwrap();
    assert!(
        one_line(&error).ends_with("/data/shards.json: is not there"),
        "{error}"
    );
    server.put("/data/shards.json", "<html>");
    let error = open_with(&server, None, never()).err().unwrap();
    assert!(
        one_line(&error).contains("is no manifest of shards"),
        "{error}"
    );
}

/// A place in a store.
fn s3(
    server: &Server,
    bucket: &str,
    change: impl Fn(&mut Vec<(String, String)>),
) -> Result<Store, Error> {
    let location = Location::parse(format!("s3://{bucket}/a/b").as_ref()).unwrap();
    let mut environment = server.environment();
    change(&mut environment);
    Store::open_in(&location, &environment, &never())
}

#[test]
fn stores_are_written_and_read_with_signatures() {
    let server = Server::s3().unwrap();
    let store = s3(&server, "bucket", |_| {}).unwrap();
    assert!(!store.has("one").unwrap());
    store.write("one", &vec![7; 1000].into()).unwrap();
    assert!(store.has("one").unwrap());
    assert_eq!(server.paths(), ["/bucket/a/b/one"]);
    server.fail("/bucket/a/b/one", &[Fault::Unavailable, Fault::CutOff]);
    assert_eq!(store.read("one", 1000).unwrap(), vec![7; 1000]);
    assert_eq!(server.unsigned(), 0);
    let error = store.read("one", 999).unwrap_err();
    assert!(
        one_line(&error).contains("has more than the 999 bytes"),
        "{error}"
    );
}

#[test]
fn stores_that_refuse_are_named_without_secrets() {
    let server = Server::s3().unwrap();
    let read = |bucket, change: fn(&mut Vec<(String, String)>)| {
        let result = s3(&server, bucket, change).and_then(|store| store.read("one", 9));
        let text = one_line(&result.unwrap_err());
        assert!(
            !text.contains("secret") && !text.contains("KEYID"),
            "{text}"
        );
        text
    };
    let text = read("other", |_| {});
    assert_eq!(
        text,
        "s3://other/a/b/one: is not there: there is no such bucket"
    );
    assert_eq!(read("bucket", |_| {}), "s3://bucket/a/b/one: is not there");
    let text = read("bucket", |e| e[3].1 = "Yes".into());
    assert_eq!(text, "s3://bucket/a/b/one: is not there");
    let text = read("bucket", |e| e[0].1 = "SECONDKEYID".into());
    assert!(
        text.ends_with("the server refuses access with these credentials"),
        "{text}"
    );
    let text = read("bucket", |e| drop(e.drain(..2)));
    assert!(text.contains("no credentials in the environment"), "{text}");
    let text = read("bucket", |e| drop(e.pop()));
    assert!(text.contains("AWS_ALLOW_HTTP=true allows it"), "{text}");
    server.put("/bucket/a/b/one", "x");
    server.fail("/bucket/a/b/one", &[Fault::Refused]);
    let text = read("bucket", |_| {});
    assert!(text.contains("refuses access"), "{text}");
}
