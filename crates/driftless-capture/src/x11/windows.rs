//! The windows of a display.

use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, GetPropertyReply, MapState, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

use crate::Result;
use crate::source::WindowInfo;

/// Longest title that is read, in units of 4 bytes.
const MAX_TITLE: u32 = 256;
/// The most windows that are read.
const MAX_WINDOWS: u32 = 4096;

x11rb::atom_manager! {
    /// The names of the properties that are read.
    pub Atoms: AtomsCookie {
        _NET_CLIENT_LIST,
        _NET_WM_NAME,
        _NET_WM_PID,
        UTF8_STRING,
    }
}

/// The windows that the window manager lists; without one, those on the screen.
///
/// # Errors
/// Returns an error if the display has gone.
pub(super) fn list(conn: &RustConnection, root: Window) -> Result<Vec<WindowInfo>> {
    let atoms = Atoms::new(conn)?;
    let atoms = atoms.reply()?;
    let managed = property(
        conn,
        root,
        atoms._NET_CLIENT_LIST,
        AtomEnum::WINDOW,
        MAX_WINDOWS,
    )?;
    let managed: Option<Vec<Window>> =
        managed.and_then(|reply| reply.value32().map(Iterator::collect));
    let windows = match managed {
        Some(windows) => windows,
        None => on_screen(conn, root)?,
    };
    let mut found = Vec::new();
    for window in windows {
        found.extend(describe(conn, &atoms, window)?);
    }
    Ok(found)
}

/// The windows directly on the screen, but not menus and the like.
fn on_screen(conn: &RustConnection, root: Window) -> Result<Vec<Window>> {
    let tree = conn.query_tree(root)?;
    let children = tree.reply()?.children;
    let mut shown = Vec::new();
    for window in children {
        let attributes = conn.get_window_attributes(window)?;
        let is_shown = attributes.reply().is_ok_and(|attributes| {
            attributes.map_state == MapState::VIEWABLE
                && attributes.class == WindowClass::INPUT_OUTPUT
                && !attributes.override_redirect
        });
        if is_shown {
            shown.push(window);
        }
    }
    Ok(shown)
}

/// What a window says of itself; `None` if it has gone meanwhile.
fn describe(conn: &RustConnection, atoms: &Atoms, window: Window) -> Result<Option<WindowInfo>> {
    let geometry = conn.get_geometry(window)?;
    let Ok(geometry) = geometry.reply() else {
        return Ok(None);
    };
    let text = |name: Atom, kind: Atom| {
        let reply = property(conn, window, name, kind, MAX_TITLE)?;
        let reply = reply.filter(|reply| !reply.value.is_empty());
        Ok::<_, crate::Error>(reply.map(|reply| String::from_utf8_lossy(&reply.value).into_owned()))
    };
    let title = match text(atoms._NET_WM_NAME, atoms.UTF8_STRING)? {
        Some(title) => title,
        None => text(AtomEnum::WM_NAME.into(), AtomEnum::ANY.into())?.unwrap_or_default(),
    };
    let pid = property(conn, window, atoms._NET_WM_PID, AtomEnum::CARDINAL, 1)?;
    let pid = pid.and_then(|reply| reply.value32()?.next());
    let process = match pid.and_then(process_name) {
        Some(name) => name,
        None => {
            // The instance and the class, each with a zero at its end.
            let class = text(AtomEnum::WM_CLASS.into(), AtomEnum::STRING.into())?;
            let class = class.unwrap_or_default();
            class.split('\0').next().unwrap_or_default().to_owned()
        }
    };
    Ok(Some(WindowInfo {
        id: window,
        title,
        size: [geometry.width.into(), geometry.height.into()],
        process,
        pid,
    }))
}

/// The name of a process, where the system tells.
fn process_name(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// A property of a window; `None` if it has none of this kind, or is gone.
fn property(
    conn: &RustConnection,
    window: Window,
    name: Atom,
    kind: impl Into<Atom>,
    length: u32,
) -> Result<Option<GetPropertyReply>> {
    let cookie = conn.get_property(false, window, name, kind, 0, length);
    let reply = cookie?.reply().ok();
    Ok(reply.filter(|reply| reply.type_ != u32::from(AtomEnum::NONE)))
}
