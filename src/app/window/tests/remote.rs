//! A world on a server: the same window, but for what pictures cannot show; a broken link and its return.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use driftless_remote::{Address, RemoteServer, Timing};
use driftless_serve::{Server, ServerOptions};
use driftless_sim::LinkState;
use egui_kittest::kittest::NodeT as _;

use super::*;

/// Serves Pong, behind a cable that can be pulled out, until the process ends.
struct Elsewhere {
    address: SocketAddr,
    plugged: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Elsewhere {
    fn start() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let worlds = vec![("pong".to_owned(), checkpoint("pong"))];
        let server = Server::bind(ServerOptions::new(any, worlds)).unwrap();
        let behind = server.address();
        std::thread::spawn(move || server.run(|| false));
        let listener = TcpListener::bind(any).unwrap();
        let elsewhere = Self {
            address: listener.local_addr().unwrap(),
            plugged: Arc::new(AtomicBool::new(true)),
            streams: Arc::default(),
        };
        let (plugged, streams) = (elsewhere.plugged.clone(), elsewhere.streams.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(std::io::Result::ok) {
                if plugged.load(Ordering::Relaxed) {
                    let far = TcpStream::connect(behind).unwrap();
                    let ends = [&near, &far].map(|stream| stream.try_clone().unwrap());
                    streams.lock().unwrap().extend(ends);
                    pass(near.try_clone().unwrap(), far.try_clone().unwrap());
                    pass(far, near);
                }
            }
        });
        elsewhere
    }

    fn pull_out(&self) {
        self.plugged.store(false, Ordering::Relaxed);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn game(&self) -> PlayableWorld {
        let address = Address::parse(&format!("ws://{}", self.address)).unwrap();
        let server = RemoteServer::new(address, None, None).unwrap();
        let server = server.with_timing(Timing {
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(50),
            ..Timing::default()
        });
        PlayableWorld::remote(server.world(None).unwrap(), None).unwrap()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn game_elsewhere_is_played_and_rewound() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = Elsewhere::start();
    let Some(mut window) = open(elsewhere.game(), home.path()) else {
        return;
    };
    assert_eq!(window.state().game().engine, elsewhere.address.to_string());
    key(&mut window, Key::ArrowUp, true);
    let frames = steps(&mut window, 4);
    assert!(frames.iter().all(|frame| frame.action == 1));
    key(&mut window, Key::ArrowUp, false);
    press(&mut window, Key::OpenBracket);
    arrive(&mut window, frames[2].position.index);
    assert_eq!(shown(&window).number, frames[2].number);
    press(&mut window, Key::P);
    wait(&mut window, "frames", |window| {
        window.game().frame.as_ref().unwrap().number > 8
    });
}

#[test]
fn what_cannot_be_shown_says_why() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = Elsewhere::start();
    let Some(mut window) = open(elsewhere.game(), home.path()) else {
        return;
    };
    let button = window.get_by_label("Denoising");
    assert!(button.accesskit_node().is_disabled());
    press(&mut window, Key::V);
    assert!(window.state().analysis().denoising.is_none());
    let said = |window: &TestWindow, text: &str| {
        let notices = &window.state().env.notices;
        notices.texts().any(|notice| notice.contains(text))
    };
    assert!(said(&window, "The server sends pictures only"));
    press(&mut window, Key::G);
    assert!(said(&window, "The server has no simulator"));
    let file = home.path().join("actions.txt");
    std::fs::write(&file, "up 3\n").unwrap();
    let (stage, env) = parts(&mut window);
    stage.open_path(&file, env);
    assert!(said(&window, "A world on a server takes no files"));
}

#[test]
fn broken_link_is_shown_until_it_is_back() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = Elsewhere::start();
    let Some(mut window) = open(elsewhere.game(), home.path()) else {
        return;
    };
    press(&mut window, Key::P);
    wait(&mut window, "frames", |window| {
        window.game().frame.as_ref().unwrap().number > 3
    });
    elsewhere.pull_out();
    wait_for(&mut window, "The link is lost");
    let before = shown(&window).position;
    elsewhere.plugged.store(true, Ordering::Relaxed);
    wait(&mut window, "the link", |window| {
        let game = window.game();
        let position = game.frame.as_ref().unwrap().position;
        game.link == LinkState::Up
            && position.branch == before.branch
            && position.index > before.index
    });
    assert!(window.query_by_label("The link is lost").is_none());
}
