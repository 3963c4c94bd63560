//! A window that paints the keys it sees, and another one; keys and mouse are played with the display's own test
//! extension.

use std::collections::HashMap;
use std::thread::JoinHandle;

use driftless_capture::Key;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeGCAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT,
    MapState, PropMode, Rectangle, StackMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::common::wait;
use crate::server::Server;

/// Side of the square that stands for a key, in pixels.
pub const CELL: u16 = 32;

/// An X server with both windows.
pub struct Scene {
    conn: RustConnection,
    root: Window,
    codes: HashMap<String, u8>,
    painter: Window,
    other: Window,
    thread: Option<JoinHandle<()>>,
    server: Server,
}

impl Scene {
    /// Opens both windows; the painter, which paints `keys` from left to right, has the focus. `None` if there is no
    /// Xvfb.
    pub fn start(keys: &[&str]) -> Option<Self> {
        if !Server::has(&["Xvfb"]) {
            return None;
        }
        let server = Server::start();
        let (conn, screen) = RustConnection::connect(Some(&server.name)).unwrap();
        let root = conn.setup().roots[screen].root;
        let codes = codes(&conn);
        let size = [CELL * keys.len() as u16, CELL];
        let other = window(&conn, root, "other", [0, 0], size, 0x00ff_0000);
        let painted: Vec<u8> = keys.iter().map(|key| codes[*key]).collect();
        let (thread, painter) = paint(&server.name, size, painted);
        let scene = Self {
            conn,
            root,
            codes,
            painter,
            other,
            thread: Some(thread),
            server,
        };
        scene.focus_painter();
        Some(scene)
    }

    pub fn display(&self) -> String {
        self.server.name.clone()
    }

    /// Presses or releases a key.
    pub fn key(&self, name: &str, down: bool) {
        let kind = if down {
            KEY_PRESS_EVENT
        } else {
            KEY_RELEASE_EVENT
        };
        self.fake(kind, self.codes[name], [0, 0]);
    }

    pub fn tap(&self, name: &str) {
        self.key(name, true);
        self.key(name, false);
    }

    /// Moves the pointer by so many pixels.
    pub fn move_mouse(&self, x: i16, y: i16) {
        // Detail 1: by, not to.
        self.fake(MOTION_NOTIFY_EVENT, 1, [x, y]);
    }

    pub fn point_at_painter(&self) {
        self.fake(MOTION_NOTIFY_EVENT, 0, [110, 110]);
    }

    pub fn point_beside(&self) {
        self.fake(MOTION_NOTIFY_EVENT, 0, [600, 600]);
    }

    pub fn focus_painter(&self) {
        self.focus(self.painter);
    }

    /// Gives the focus to the other window, on top of the painter.
    pub fn focus_other(&self) {
        self.cover();
        self.focus(self.other);
    }

    /// Lays the other window over the painter.
    pub fn cover(&self) {
        let at = ConfigureWindowAux::new()
            .x(100)
            .y(100)
            .stack_mode(StackMode::ABOVE);
        self.conn
            .configure_window(self.other, &at)
            .unwrap()
            .check()
            .unwrap();
    }

    /// The colour of the screen's pixel at this place, 0xRRGGBB.
    pub fn screen(&self, [x, y]: [i16; 2]) -> u32 {
        let (format, all) = (ImageFormat::Z_PIXMAP, u32::MAX);
        let image = self.conn.get_image(format, self.root, x, y, 1, 1, all);
        let pixels = image.unwrap().reply().unwrap().data;
        u32::from_le_bytes(pixels[..4].try_into().unwrap()) & 0x00ff_ffff
    }

    pub fn close_painter(&self) {
        self.conn
            .destroy_window(self.painter)
            .unwrap()
            .check()
            .unwrap();
    }

    pub fn move_painter(&self, [x, y]: [i32; 2]) {
        let place = ConfigureWindowAux::new().x(x).y(y);
        let asked = self.conn.configure_window(self.painter, &place);
        asked.unwrap().check().unwrap();
    }

    pub fn resize_painter(&self, width: u32, height: u32) {
        let size = ConfigureWindowAux::new().width(width).height(height);
        self.conn
            .configure_window(self.painter, &size)
            .unwrap()
            .check()
            .unwrap();
    }

    fn focus(&self, window: Window) {
        let time = x11rb::CURRENT_TIME;
        let asked = self.conn.set_input_focus(InputFocus::PARENT, window, time);
        asked.unwrap().check().unwrap();
    }

    fn fake(&self, kind: u8, detail: u8, [x, y]: [i16; 2]) {
        let asked = self
            .conn
            .xtest_fake_input(kind, detail, 0, self.root, x, y, 0);
        asked.unwrap().check().unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It ends with its window.
        let _ = self
            .conn
            .destroy_window(self.painter)
            .map(x11rb::cookie::VoidCookie::check);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The codes of the keyboard's keys by name.
fn codes(conn: &RustConnection) -> HashMap<String, u8> {
    let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let mapping = conn
        .get_keyboard_mapping(first, last - first + 1)
        .unwrap()
        .reply()
        .unwrap();
    let width = usize::from(mapping.keysyms_per_keycode);
    let names: HashMap<u32, &str> = Key::all()
        .filter_map(|key| Some((key.keysym()?, key.name())))
        .collect();
    let rows = (first..=last).zip(mapping.keysyms.chunks(width));
    rows.filter_map(|(code, row)| Some(((*names.get(&row[0])?).to_owned(), code)))
        .collect()
}

/// Opens a window in one colour and waits until it is on the screen.
fn window(
    conn: &RustConnection,
    root: Window,
    title: &str,
    [x, y]: [i16; 2],
    [width, height]: [u16; 2],
    colour: u32,
) -> Window {
    let window = conn.generate_id().unwrap();
    let events = EventMask::KEY_PRESS
        | EventMask::KEY_RELEASE
        | EventMask::EXPOSURE
        | EventMask::FOCUS_CHANGE
        | EventMask::STRUCTURE_NOTIFY;
    let values = CreateWindowAux::new()
        .background_pixel(colour)
        .event_mask(events);
    let (depth, class) = (COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    conn.create_window(
        depth, window, root, x, y, width, height, 1, class, 0, &values,
    )
    .unwrap();
    let (name, text) = (AtomEnum::WM_NAME, AtomEnum::STRING);
    conn.change_property8(PropMode::REPLACE, window, name, text, title.as_bytes())
        .unwrap();
    conn.map_window(window).unwrap();
    conn.flush().unwrap();
    wait("a window", || {
        let attributes = conn.get_window_attributes(window).unwrap().reply().unwrap();
        (attributes.map_state == MapState::VIEWABLE).then_some(())
    });
    window
}

/// Starts the painter; returns its window.
fn paint(display: &str, size: [u16; 2], codes: Vec<u8>) -> (JoinHandle<()>, Window) {
    let (conn, screen) = RustConnection::connect(Some(display)).unwrap();
    let root = conn.setup().roots[screen].root;
    let painter = window(&conn, root, "painter", [100, 100], size, 0);
    let gc = conn.generate_id().unwrap();
    conn.create_gc(gc, painter, &CreateGCAux::new()).unwrap();
    conn.flush().unwrap();
    let thread = std::thread::spawn(move || {
        let mut held = vec![false; codes.len()];
        while let Ok(event) = conn.wait_for_event() {
            match event {
                Event::KeyPress(key) => set(&mut held, &codes, key.detail, true),
                Event::KeyRelease(key) => set(&mut held, &codes, key.detail, false),
                Event::Expose(_) => {}
                Event::DestroyNotify(_) => return,
                _ => continue,
            }
            for (cell, &held) in (0_i16..).zip(&held) {
                let colour = if held { 0x00ff_ffff } else { 0 };
                let square = Rectangle {
                    x: cell * CELL as i16,
                    y: 0,
                    width: CELL,
                    height: CELL,
                };
                let _ = conn.change_gc(gc, &ChangeGCAux::new().foreground(colour));
                let _ = conn.poly_fill_rectangle(painter, gc, &[square]);
            }
            let _ = conn.flush();
        }
    });
    (thread, painter)
}

fn set(held: &mut [bool], codes: &[u8], code: u8, down: bool) {
    if let Some(cell) = codes.iter().position(|known| *known == code) {
        held[cell] = down;
    }
}
