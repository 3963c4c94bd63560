//! Windows of an X11 display: pictures through shared memory (MIT-SHM, Composite), keys through XInput 2.

mod input;
mod marker;
mod picture;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use x11rb::connection::Connection as _;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{self, ConnectionExt as _, Fp3232, XIEventMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GrabMode, Mapping, ModMask,
    NotifyDetail, Window,
};
use x11rb::rust_connection::RustConnection;

pub use self::marker::Marker;

use self::input::InputTracker;
use self::picture::Camera;
use crate::source::{CaptureSource, Crop, Moment, Picture, SourceOptions, WindowInfo, WindowState};
use crate::{Error, Key, Result};

/// What is watched of the window. Others are not asked for anything.
const WINDOW_EVENTS: [EventMask; 5] = [
    EventMask::FOCUS_CHANGE,
    EventMask::KEYMAP_STATE,
    EventMask::STRUCTURE_NOTIFY,
    EventMask::ENTER_WINDOW,
    EventMask::LEAVE_WINDOW,
];

/// The windows of a display; `None` is that of the environment (`DISPLAY`).
///
/// # Errors
/// Returns an error if there is no display.
pub fn windows(display: Option<&str>) -> Result<Vec<WindowInfo>> {
    let (conn, root) = connect(display)?;
    windows::list(&conn, root)
}

/// Watches a window.
///
/// # Errors
/// Returns an error if there is no display, or it lacks what is needed; if the window is gone or hidden; if the crop is
/// not inside it; if a key is not on the keyboard; or if another program has taken the stop or pause key.
pub fn open(options: &SourceOptions) -> Result<Box<dyn CaptureSource>> {
    options.check()?;
    let (conn, root) = connect(options.display.as_deref())?;
    Ok(Box::new(X11Source::new(conn, root, options)?))
}

/// The pictures of windows, whether or not they have the focus; `None` of those that are gone or hidden, or have pixels
/// of an unknown form. Takes the third of a second in which covered windows draw themselves anew.
///
/// # Errors
/// Returns an error if there is no display.
pub fn stills(display: Option<&str>, windows: &[u32]) -> Result<Vec<Option<Picture>>> {
    /// What a window without a compositor shows of its covered parts is drawn in this time.
    const REDRAW: Duration = Duration::from_millis(300);
    let (conn, _) = connect(display)?;
    let camera = |&window: &u32| {
        let size = current_size(&conn, window)?;
        let camera = Camera::new(&conn, window, Crop::of_window(None, size)?)?;
        conn.clear_area(true, window, 0, 0, 0, 0)?;
        Ok::<_, Error>(camera)
    };
    let mut cameras: Vec<Option<Camera>> = windows.iter().map(|w| camera(w).ok()).collect();
    conn.flush()?;
    std::thread::sleep(REDRAW);
    let shoot = |camera: &mut Option<Camera>| {
        let camera = camera.as_mut()?;
        let mut picture = Picture::default();
        camera.expose(&conn).ok()??;
        camera.develop(&mut picture).ok()?;
        Some(picture)
    };
    Ok(cameras.iter_mut().map(shoot).collect())
}

fn connect(display: Option<&str>) -> Result<(RustConnection, Window)> {
    match RustConnection::connect(display) {
        Ok((conn, screen)) => {
            let root = conn.setup().roots.get(screen).map(|screen| screen.root);
            let root = root.ok_or_else(|| Error::Display("the display has no screen".into()))?;
            Ok((conn, root))
        }
        Err(error) => Err(no_display(&error)),
    }
}

/// Why there is no display, and what would do.
fn no_display(error: &ConnectError) -> Error {
    if std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty()) {
        return Error::Display(format!("cannot connect to the X11 display: {error}"));
    }
    if std::env::var_os("WAYLAND_DISPLAY").is_some() {
        let what = "capturing needs X11, and this Wayland session offers none (Xwayland): start the game in an X11 \
                    session";
        return Error::Unsupported(what.into());
    }
    Error::Display("capturing needs an X11 display, and there is none (DISPLAY is not set)".into())
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Display(format!("the connection to the display has ended: {error}"))
    }
}

impl From<ReplyError> for Error {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => {
                Self::Display(format!("the display refuses: {:?}", error.error_kind))
            }
        }
    }
}

impl From<ReplyOrIdError> for Error {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::IdsExhausted => {
                Self::Display("the display has no more numbers for resources".into())
            }
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
        }
    }
}

/// A window that is watched.
struct X11Source {
    conn: RustConnection,
    root: Window,
    window: Window,
    size: [u32; 2],
    camera: Camera,
    keys: Vec<Key>,
    mouse: bool,
    input: InputTracker,
    /// Whether the display sends the events of keys: only while the window has the focus.
    listens: bool,
    hidden: bool,
    /// What ends the capture, if it has happened.
    end: Option<WindowState>,
    /// Codes of the stop and of the pause key.
    hotkeys: [(Option<Key>, Vec<u8>); 2],
    stop: bool,
    pauses: u32,
    /// An event that came after the last picture.
    pending: Option<(Event, u64)>,
}

impl X11Source {
    fn new(conn: RustConnection, root: Window, options: &SourceOptions) -> Result<Self> {
        let window = options.window.id;
        let size = current_size(&conn, window)?;
        let camera = Camera::new(&conn, window, Crop::of_window(options.crop, size)?)?;
        let version = conn.xinput_xi_query_version(2, 2)?;
        let version = version.reply().map_err(|_| no_xinput())?;
        if (version.major_version, version.minor_version) < (2, 1) {
            return Err(no_xinput());
        }
        let indexed = options.keys.iter().enumerate();
        let buttons = indexed
            .filter_map(|(i, key)| Some((key.button()?, i)))
            .collect();
        let mut source = Self {
            conn,
            root,
            window,
            size,
            camera,
            keys: options.keys.clone(),
            mouse: options.mouse,
            input: InputTracker::new(buttons),
            listens: false,
            hidden: false,
            end: None,
            hotkeys: [options.stop_key, options.pause_key].map(|key| (key, Vec::new())),
            stop: false,
            pauses: 0,
            pending: None,
        };
        source.read_keyboard()?;
        source.grab_hotkeys()?;
        source.watch_window()?;
        Ok(source)
    }

    /// Finds the codes of all keys.
    ///
    /// # Errors
    /// Returns an error if a key is not on the keyboard.
    fn read_keyboard(&mut self) -> Result<()> {
        let layout = codes_by_keysym(&self.conn)?;
        let codes_of = |key: Key| match key.keysym() {
            Some(keysym) => match layout.get(&keysym) {
                Some(codes) => Ok(codes.as_slice()),
                None => Err(Error::Argument(format!("the keyboard has no key `{key}`"))),
            },
            None => Ok(&[][..]),
        };
        let mut codes = BTreeMap::new();
        for (index, &key) in self.keys.iter().enumerate() {
            codes.extend(codes_of(key)?.iter().map(|&code| (code, index)));
        }
        for (key, codes) in &mut self.hotkeys {
            *codes = key.map_or(Ok(&[][..]), codes_of)?.to_vec();
        }
        self.input.set_codes(codes);
        Ok(())
    }

    /// Reserves the stop and pause keys, wherever they are pressed.
    fn grab_hotkeys(&self) -> Result<()> {
        for (key, codes) in &self.hotkeys {
            for &code in codes {
                let (root, mode) = (self.root, GrabMode::ASYNC);
                let grab = self
                    .conn
                    .grab_key(false, root, ModMask::ANY, code, mode, mode);
                if grab?.check().is_err() {
                    let name = key.map_or("", Key::name);
                    let what =
                        format!("the key {name} is taken by another program: choose another");
                    return Err(Error::Argument(what));
                }
            }
        }
        Ok(())
    }

    /// Asks for the events of the window, and for the state that they change.
    fn watch_window(&mut self) -> Result<()> {
        let mask = WINDOW_EVENTS
            .into_iter()
            .fold(EventMask::NO_EVENT, |all, one| all | one);
        let wanted = ChangeWindowAttributesAux::new().event_mask(mask);
        let asked = self.conn.change_window_attributes(self.window, &wanted);
        asked?.check()?;
        let pointer = self.conn.query_pointer(self.window)?;
        if let Ok(pointer) = pointer.reply() {
            let at = [pointer.win_x, pointer.win_y].map(u32::try_from);
            let inside = at
                .into_iter()
                .zip(self.size)
                .all(|(at, size)| at.is_ok_and(|at| at < size));
            self.input.pointer(inside);
        }
        let focused = self.has_focus()?;
        self.input.focus(focused);
        self.listen()
    }

    /// Whether the keyboard's focus is in the window or inside it.
    fn has_focus(&self) -> Result<bool> {
        let focus = self.conn.get_input_focus()?;
        let mut at = focus.reply()?.focus;
        // 0 is no window, 1 whichever is under the pointer.
        while at > 1 && at != self.root {
            if at == self.window {
                return Ok(true);
            }
            let tree = self.conn.query_tree(at)?;
            let Ok(tree) = tree.reply() else {
                return Ok(false);
            };
            at = tree.parent;
        }
        Ok(false)
    }

    /// Lets the display send the events of keys while the window has the focus, and only then.
    fn listen(&mut self) -> Result<()> {
        let focused = self.input.focused();
        if focused == self.listens {
            return Ok(());
        }
        let mut wanted = XIEventMask::from(0_u32);
        if focused {
            wanted = XIEventMask::RAW_KEY_PRESS | XIEventMask::RAW_KEY_RELEASE;
            if self.keys.iter().any(|key| key.button().is_some()) {
                wanted |= XIEventMask::RAW_BUTTON_PRESS | XIEventMask::RAW_BUTTON_RELEASE;
            }
            if self.mouse {
                wanted |= XIEventMask::RAW_MOTION;
            }
        }
        let mask = xinput::EventMask {
            deviceid: xinput::Device::ALL_MASTER.into(),
            mask: vec![wanted],
        };
        let asked = self.conn.xinput_xi_select_events(self.root, &[mask]);
        asked?.check()?;
        self.listens = focused;
        if focused {
            // Keys that went down before the display began to send them.
            let keymap = self.conn.query_keymap()?;
            self.input.keymap(&keymap.reply()?.keys);
        }
        Ok(())
    }

    /// Handles the events that the server sent before it answered the request `sequence`.
    fn handle_until(&mut self, sequence: u64) -> Result<()> {
        while let Some((event, at)) = self.next_event()? {
            if at >= sequence {
                self.pending = Some((event, at));
                break;
            }
            self.handle(&event);
        }
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<(Event, u64)>> {
        match self.pending.take() {
            Some(event) => Ok(Some(event)),
            None => Ok(self.conn.poll_for_event_with_sequence()?),
        }
    }

    fn handle(&mut self, event: &Event) {
        match event {
            Event::FocusIn(focus) if moves_focus(focus.detail) => self.input.focus(true),
            // Into a window inside this one: it stays.
            Event::FocusOut(focus) if focus.detail == NotifyDetail::INFERIOR => {}
            Event::FocusOut(focus) if moves_focus(focus.detail) => self.input.focus(false),
            Event::KeymapNotify(keymap) => {
                let mut bits = [0; 32];
                bits[1..].copy_from_slice(&keymap.keys);
                self.input.keymap(&bits);
            }
            Event::XinputRawKeyPress(key) => self.raw_key(key.detail, true),
            Event::XinputRawKeyRelease(key) => self.raw_key(key.detail, false),
            Event::XinputRawButtonPress(button) => self.input.button(button.detail, true),
            Event::XinputRawButtonRelease(button) => self.input.button(button.detail, false),
            Event::XinputRawMotion(motion) => {
                let by = motion_of(&motion.valuator_mask, &motion.axisvalues_raw);
                self.input.motion(by);
            }
            Event::EnterNotify(_) => self.input.pointer(true),
            Event::LeaveNotify(leave) => {
                self.input.pointer(leave.detail == NotifyDetail::INFERIOR);
            }
            Event::KeyPress(key) => {
                let [stop, pause] = &self.hotkeys;
                self.stop |= stop.1.contains(&key.detail);
                self.pauses += u32::from(pause.1.contains(&key.detail));
            }
            Event::ConfigureNotify(change) if change.window == self.window => {
                let size = [change.width, change.height].map(u32::from);
                if size != self.size && self.end.is_none() {
                    self.end = Some(WindowState::Resized(size));
                }
            }
            Event::UnmapNotify(change) if change.window == self.window => {
                self.hidden = true;
                self.camera.hidden();
            }
            Event::MapNotify(change) if change.window == self.window => self.hidden = false,
            Event::DestroyNotify(end) if end.window == self.window => {
                self.end = Some(WindowState::Closed);
            }
            Event::MappingNotify(change) if change.request == Mapping::KEYBOARD => {
                // A layout without one of the keys: it cannot be pressed.
                let _ = self.read_keyboard();
            }
            _ => {}
        }
    }

    fn raw_key(&mut self, code: u32, is_down: bool) {
        if let Ok(code) = u8::try_from(code) {
            self.input.key(code, is_down);
        }
    }
}

impl CaptureSource for X11Source {
    fn look(&mut self, picture: &mut Picture) -> Result<Moment> {
        let mut exposed = None;
        if self.input.focused() && !self.hidden {
            exposed = self.camera.expose(&self.conn)?;
        }
        let sequence = match exposed {
            Some(sequence) => sequence,
            None => {
                let cookie = self.conn.get_input_focus()?;
                let sequence = cookie.sequence_number();
                cookie.reply()?;
                sequence
            }
        };
        self.handle_until(sequence)?;
        let is_shown = exposed.is_some() && self.input.focused() && !self.hidden;
        let state = match self.end {
            Some(end) => end,
            None if is_shown => {
                self.camera.develop(picture)?;
                WindowState::Focused
            }
            None => WindowState::Unfocused,
        };
        let (held, mouse) = self.input.take();
        if self.end.is_none() {
            self.listen()?;
        }
        Ok(Moment {
            state,
            held,
            mouse,
            stop: std::mem::take(&mut self.stop),
            pauses: std::mem::take(&mut self.pauses),
        })
    }
}

fn no_xinput() -> Error {
    Error::Unsupported("the display server lacks the extension XInput 2.1".into())
}

/// Whether the focus has come into the window or gone out of it. With the other details only the pointer is in it.
fn moves_focus(detail: NotifyDetail) -> bool {
    !matches!(
        detail,
        NotifyDetail::POINTER | NotifyDetail::POINTER_ROOT | NotifyDetail::NONE
    )
}

/// Width and height of a window.
fn current_size(conn: &RustConnection, window: Window) -> Result<[u32; 2]> {
    let geometry = conn.get_geometry(window)?.reply();
    let geometry =
        geometry.map_err(|_| Error::Window(format!("there is no window {window:#x}")))?;
    Ok([geometry.width.into(), geometry.height.into()])
}

/// The codes of the keys that have each symbol, in lower case.
fn codes_by_keysym(conn: &RustConnection) -> Result<BTreeMap<u32, Vec<u8>>> {
    let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let mapping = conn.get_keyboard_mapping(first, last - first + 1);
    let mapping = mapping?.reply()?;
    let width = usize::from(mapping.keysyms_per_keycode).max(1);
    let mut codes: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (code, keysyms) in (first..=last).zip(mapping.keysyms.chunks(width)) {
        for &keysym in keysyms.iter().filter(|&&keysym| keysym != 0) {
            let known = codes.entry(keysym).or_default();
            if !known.contains(&code) {
                known.push(code);
            }
        }
    }
    Ok(codes)
}

/// The first two axes of a motion: x and y. `values` has one for each bit of the mask.
fn motion_of(mask: &[u32], values: &[Fp3232]) -> [f32; 2] {
    let mut values = values.iter();
    let first = mask.first().copied().unwrap_or(0);
    [0, 1].map(|axis| {
        let moved = if first >> axis & 1 == 1 {
            values.next()
        } else {
            None
        };
        moved.map_or(0.0, |value| {
            (f64::from(value.integral) + f64::from(value.frac) / 4_294_967_296.0) as f32
        })
    })
}
