//! A small server of objects on loopback, which counts what is read, and fails where it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::runtime::Runtime;

/// Largest accepted object in bytes.
const MOST: usize = 1 << 28;

/// How the server answers an object's next reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503, for this moment.
    Unavailable,
    /// Half of the object, then the connection ends.
    CutOff,
    /// 403 with a page that repeats the request's credentials.
    Refused,
}

#[derive(Default)]
struct Objects {
    objects: BTreeMap<String, Bytes>,
    /// Complete answers by object.
    reads: BTreeMap<String, usize>,
    faults: BTreeMap<String, Vec<Fault>>,
    /// Objects whose reads are never answered.
    silent: Vec<String>,
    /// Whether requests must be signed, as S3 asks for it; then the first part of a path is a bucket.
    is_s3: bool,
    unsigned: usize,
}

type Shared = Arc<Mutex<Objects>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Objects> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server; it ends when this is dropped. Objects have the path of their address, `/BUCKET/…/NAME`.
pub struct Server {
    address: SocketAddr,
    shared: Shared,
    /// Ends without waiting for what is silent.
    runtime: Option<Runtime>,
}

impl Server {
    /// A web server, which also takes what is put.
    ///
    /// # Errors
    /// Returns an error if no port is free or a thread cannot be started.
    pub fn web() -> io::Result<Self> {
        Self::start(false)
    }

    /// A server that asks for signatures, and has the bucket `bucket`.
    ///
    /// # Errors
    /// As [`Server::web`].
    pub fn s3() -> io::Result<Self> {
        Self::start(true)
    }

    fn start(is_s3: bool) -> io::Result<Self> {
        let shared = Shared::default();
        lock(&shared).is_s3 = is_s3;
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let socket = (Ipv4Addr::LOCALHOST, 0);
        let listener = threads.block_on(tokio::net::TcpListener::bind(socket))?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        threads.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            shared,
            runtime: Some(threads),
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment in which a client finds and may use this server.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.url();
        [
            ("AWS_ACCESS_KEY_ID", "TESTKEYID"),
            ("AWS_SECRET_ACCESS_KEY", "test-secret"),
            ("AWS_ENDPOINT", url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Puts an object.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        lock(&self.shared)
            .objects
            .insert(path.to_owned(), bytes.into());
    }

    /// Puts the files of a folder, at `/data/NAME`.
    ///
    /// # Errors
    /// Returns an error if the folder or a file cannot be read.
    pub fn put_folder(&self, folder: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let content = std::fs::read(entry.path())?;
            self.put(&format!("/data/{}", name.to_string_lossy()), content);
        }
        Ok(())
    }

    /// Removes an object.
    pub fn remove(&self, path: &str) {
        lock(&self.shared).objects.remove(path);
    }

    /// An object.
    pub fn object(&self, path: &str) -> Option<Bytes> {
        lock(&self.shared).objects.get(path).cloned()
    }

    /// Paths of all objects.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.shared).objects.keys().cloned().collect()
    }

    /// How often each object was read as a whole.
    pub fn reads(&self) -> BTreeMap<String, usize> {
        lock(&self.shared).reads.clone()
    }

    /// How many requests were not signed that should have been.
    pub fn unsigned(&self) -> usize {
        lock(&self.shared).unsigned
    }

    /// Answers an object's next reads in this way, one after the other.
    pub fn fail(&self, path: &str, faults: &[Fault]) {
        let faults = faults.iter().rev().copied().collect();
        lock(&self.shared).faults.insert(path.to_owned(), faults);
    }

    /// Answers no reads of an object any more.
    pub fn silence(&self, path: &str) {
        lock(&self.shared).silent.push(path.to_owned());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(refusal) = refusal(&mut lock(&shared), &path, request.headers()) {
        return refusal;
    }
    if *request.method() == Method::PUT {
        let Ok(bytes) = axum::body::to_bytes(request.into_body(), MOST).await else {
            return respond(StatusCode::BAD_REQUEST, "cut off");
        };
        let tag = tag(&bytes);
        lock(&shared).objects.insert(path, bytes);
        let mut response = respond(StatusCode::OK, "");
        response.headers_mut().extend(tag);
        return response;
    }
    let is_silent = lock(&shared).silent.contains(&path);
    if is_silent {
        std::future::pending::<()>().await;
    }
    let is_head = *request.method() == Method::HEAD;
    read(&mut lock(&shared), &path, request.headers(), is_head)
}

/// The answer to a request that is not signed, or asks for a bucket that is not there.
fn refusal(objects: &mut Objects, path: &str, headers: &HeaderMap) -> Option<Response> {
    if !objects.is_s3 {
        return None;
    }
    let signed = headers.get(header::AUTHORIZATION);
    let signed = signed.and_then(|value| value.to_str().ok());
    if !signed.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=TESTKEYID/")) {
        objects.unsigned += 1;
        let said = signed.unwrap_or_default();
        let page = format!("<Error><Code>AccessDenied</Code><Said>{said}</Said></Error>");
        return Some(respond(StatusCode::FORBIDDEN, &page));
    }
    (!path.starts_with("/bucket/")).then(|| {
        let page = "<Error><Code>NoSuchBucket</Code></Error>";
        respond(StatusCode::NOT_FOUND, page)
    })
}

fn read(objects: &mut Objects, path: &str, headers: &HeaderMap, is_head: bool) -> Response {
    let Some(bytes) = objects.objects.get(path).cloned() else {
        return respond(
            StatusCode::NOT_FOUND,
            "<Error><Code>NoSuchKey</Code></Error>",
        );
    };
    let fault = objects.faults.get_mut(path).and_then(Vec::pop);
    let mut response = match fault {
        Some(Fault::Unavailable) => return respond(StatusCode::SERVICE_UNAVAILABLE, "later"),
        Some(Fault::Refused) => {
            let page = "<Error><AWSAccessKeyId>TESTKEYID</AWSAccessKeyId></Error>";
            return respond(StatusCode::FORBIDDEN, page);
        }
        Some(Fault::CutOff) => {
            let half = Ok(bytes.slice(..bytes.len() / 2));
            let parts = [half, Err(io::Error::from(io::ErrorKind::ConnectionReset))];
            let parts = futures_util::stream::iter(parts);
            let mut response = Response::new(Body::from_stream(parts));
            let length = bytes.len().into();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            response
        }
        None if is_head => {
            let mut response = Response::new(Body::empty());
            let length = bytes.len().into();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            response
        }
        None => {
            *objects.reads.entry(path.to_owned()).or_default() += 1;
            whole_or_rest(&bytes, headers)
        }
    };
    response.headers_mut().extend(tag(&bytes));
    response
}

/// The object, or what is asked for of it: `bytes=FIRST-[LAST]`.
fn whole_or_rest(bytes: &Bytes, headers: &HeaderMap) -> Response {
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let bounds = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = bounds else {
        return Response::new(bytes.clone().into());
    };
    let first = first.parse().unwrap_or(0).min(bytes.len());
    let last = last.parse().map_or(bytes.len(), |last: usize| last + 1);
    let end = last.clamp(first, bytes.len());
    let mut response = Response::new(bytes.slice(first..end).into());
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes {first}-{}/{}", end.saturating_sub(1), bytes.len());
    if let Ok(range) = range.parse() {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// A header that tells an object from what it was before.
fn tag(bytes: &Bytes) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let sum = crate::reader::checksum(bytes);
    if let Ok(tag) = format!("\"{}\"", &sum[..16]).parse() {
        headers.insert(header::ETAG, tag);
    }
    headers
}

fn respond(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}
