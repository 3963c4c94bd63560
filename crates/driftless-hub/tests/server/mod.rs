//! A server on loopback with the files of one repository, which misbehaves as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// The commit that the server tells.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server does wrong, and what it was asked.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Breaks the connection behind so many bytes of a file's content.
    pub breaks_after: Option<usize>,
    /// Sends other bytes than the checksum is of.
    pub damages: bool,
    /// The checksum that it tells instead of the true one.
    pub etag: Option<String>,
    /// Sends a redirection that leads nowhere.
    pub redirects: bool,
    /// The first bytes of the files' content that were asked for, one for each request.
    pub asked: Vec<usize>,
    /// The last `Authorization`.
    pub authorization: Option<String>,
}

/// A server, until it is dropped.
pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the repository `owner/name`.
    pub fn start(files: &[(&str, &[u8])]) -> Self {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.to_vec()))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                // An empty request ends the server.
                if !answer(&stream, &files, &shared) {
                    return;
                }
            }
        });
        Self {
            endpoint,
            state,
            thread: Some(thread),
        }
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(
            self.endpoint.trim_start_matches("http://"),
        ));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request and closes the connection; false if nothing was asked.
fn answer(mut stream: &TcpStream, files: &BTreeMap<String, Vec<u8>>, state: &Mutex<State>) -> bool {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else {
        return false;
    };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let path = request.split_whitespace().nth(1).unwrap();
    let mut state = state.lock().unwrap();
    state.authorization = header("authorization");
    if path == "/api/models/owner/name/revision/main" {
        let names = files
            .keys()
            .map(|name| format!(r#"{{"rfilename":"{name}"}}"#));
        let names: Vec<String> = names.collect();
        let body = format!(r#"{{"siblings":[{}],"sha":"{COMMIT}"}}"#, names.join(","));
        send(&mut stream, "200 OK", &[], body.as_bytes(), None);
        return true;
    }
    let name = path.strip_prefix("/owner/name/resolve/main/");
    let Some(content) = name.and_then(|name| files.get(name)) else {
        send(&mut stream, "404 Not Found", &[], b"", None);
        return true;
    };
    if state.redirects {
        send(
            &mut stream,
            "302 Found",
            &[format!("x-repo-commit: {COMMIT}"), "etag: \"a\"".into()],
            b"",
            None,
        );
        return true;
    }
    let range = header("range").unwrap();
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let end = last.parse().map_or(content.len(), |last: usize| last + 1);
    let sum: String = Sha256::digest(content)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let mut sent = content[first..end.min(content.len())].to_vec();
    let is_content = last.is_empty();
    if is_content {
        state.asked.push(first);
        if state.damages {
            sent[0] ^= 1;
        }
    }
    let headers = [
        format!("etag: \"{}\"", state.etag.clone().unwrap_or(sum)),
        format!("x-repo-commit: {COMMIT}"),
        format!("content-range: bytes {first}-{}/{}", end - 1, content.len()),
    ];
    let limit = state.breaks_after.filter(|_| is_content);
    send(&mut stream, "206 Partial Content", &headers, &sent, limit);
    true
}

fn send(
    stream: &mut &TcpStream,
    status: &str,
    headers: &[String],
    body: &[u8],
    limit: Option<usize>,
) {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for header in headers {
        head += &format!("{header}\r\n");
    }
    let body = &body[..limit.unwrap_or(body.len()).min(body.len())];
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
}
