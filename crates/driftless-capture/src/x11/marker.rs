//! What shows on the screen that a window is recorded: a frame around it, and a line of text above it.
//!
//! Both are windows of their own, which take no clicks. The pictures of a capture are of the recorded window alone, so
//! that neither is in them.

use x11rb::connection::Connection as _;
use x11rb::protocol::shape::{ConnectionExt as _, SK, SO};
use x11rb::protocol::xproto::{
    ChangeGCAux, ChangeWindowAttributesAux, ClipOrdering, ConfigureWindowAux, ConnectionExt as _,
    CreateGCAux, CreateWindowAux, StackMode, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

use super::connect;
use crate::{Activity, Result};

/// Width of the frame, in pixels.
const WIDTH: i32 = 4;
/// Height of the line of text, in pixels.
const LINE: i32 = 20;
/// Space beside the text, in pixels.
const MARGIN: i32 = 8;
/// A font that every X server brings.
const FONT: &[u8] = b"fixed";
/// Longest text that the display draws at once.
const MAX_TEXT: usize = 255;
const RED: u32 = 0x00d8_2f2f;
const AMBER: u32 = 0x00d8_962f;
const WHITE: u32 = 0x00ff_ffff;

/// A frame around a window, and a line of text above it.
pub struct Marker {
    conn: RustConnection,
    root: Window,
    target: Window,
    /// The frame's sides, then the text's.
    windows: [Window; 5],
    gc: u32,
    /// Width of a letter and height of the text above its base, in pixels; `None` without the font.
    letter: Option<[i32; 2]>,
}

impl Marker {
    /// Prepares the frame of a window; nothing is shown yet. `display` is as in [`windows`](super::windows).
    ///
    /// # Errors
    /// Returns an error if there is no display.
    pub fn new(display: Option<&str>, window: u32) -> Result<Self> {
        let (conn, root) = connect(display)?;
        let mut windows = [0; 5];
        for id in &mut windows {
            *id = conn.generate_id()?;
            let looks = CreateWindowAux::new()
                .override_redirect(1)
                .background_pixel(RED);
            let class = WindowClass::INPUT_OUTPUT;
            conn.create_window(0, *id, root, 0, 0, 1, 1, 0, class, 0, &looks)?;
            // Clicks go to what lies below.
            let (set, input) = (SO::SET, SK::INPUT);
            conn.shape_rectangles(set, input, ClipOrdering::UNSORTED, *id, 0, 0, &[])?;
        }
        let letter = letter(&conn)?;
        let gc = conn.generate_id()?;
        let colours = CreateGCAux::new().foreground(WHITE).background(RED);
        conn.create_gc(gc, windows[4], &colours)?;
        if let Some((font, _)) = letter {
            conn.change_gc(gc, &ChangeGCAux::new().font(font))?;
        }
        Ok(Self {
            conn,
            root,
            target: window,
            windows,
            gc,
            letter: letter.map(|(_, size)| size),
        })
    }

    /// Shows the frame where the window is now, red while it is recorded, with a text (ASCII).
    ///
    /// # Errors
    /// Returns an error if the display has gone.
    pub fn show(&self, activity: Activity, text: &str) -> Result<()> {
        let Some([x, y, width, height]) = self.place()? else {
            return self.hide();
        };
        let colour = match activity {
            Activity::Recording => RED,
            Activity::Paused | Activity::Unfocused => AMBER,
        };
        let text: Vec<u8> = text.bytes().take(MAX_TEXT).collect();
        let [letter, ascent] = self.letter.unwrap_or_default();
        let line = text.len() as i32 * letter + 2 * MARGIN;
        let above = y - WIDTH - LINE;
        let sides = [
            [x - WIDTH, y - WIDTH, width + 2 * WIDTH, WIDTH],
            [x - WIDTH, y + height, width + 2 * WIDTH, WIDTH],
            [x - WIDTH, y, WIDTH, height],
            [x + width, y, WIDTH, height],
            // Inside the window where the screen has no room above it.
            [x.max(0), if above < 0 { y } else { above }, line, LINE],
        ];
        let shown = if self.letter.is_some() { 5 } else { 4 };
        for (&window, [x, y, width, height]) in self.windows.iter().zip(sides).take(shown) {
            let looks = ChangeWindowAttributesAux::new().background_pixel(colour);
            self.conn.change_window_attributes(window, &looks)?;
            let place = ConfigureWindowAux::new()
                .x(x)
                .y(y)
                .width(width.max(1) as u32)
                .height(height.max(1) as u32)
                .stack_mode(StackMode::ABOVE);
            self.conn.configure_window(window, &place)?;
            self.conn.map_window(window)?;
            self.conn.clear_area(false, window, 0, 0, 0, 0)?;
        }
        if self.letter.is_some() {
            let background = ChangeGCAux::new().background(colour);
            self.conn.change_gc(self.gc, &background)?;
            let (at, base) = (MARGIN as i16, ((LINE + ascent) / 2) as i16);
            self.conn
                .image_text8(self.windows[4], self.gc, at, base, &text)?;
        }
        Ok(self.conn.flush()?)
    }

    /// Shows nothing.
    fn hide(&self) -> Result<()> {
        for window in self.windows {
            self.conn.unmap_window(window)?;
        }
        Ok(self.conn.flush()?)
    }

    /// Where the window's content is on the screen: left, top, width and height. `None` if it has gone.
    fn place(&self) -> Result<Option<[i32; 4]>> {
        let geometry = self.conn.get_geometry(self.target)?;
        let origin = self
            .conn
            .translate_coordinates(self.target, self.root, 0, 0)?;
        let (Ok(geometry), Ok(origin)) = (geometry.reply(), origin.reply()) else {
            return Ok(None);
        };
        Ok(Some([
            origin.dst_x.into(),
            origin.dst_y.into(),
            geometry.width.into(),
            geometry.height.into(),
        ]))
    }
}

/// The font, with the width of a letter and the height of the text above its base.
fn letter(conn: &RustConnection) -> Result<Option<(u32, [i32; 2])>> {
    let font = conn.generate_id()?;
    if conn.open_font(font, FONT)?.check().is_err() {
        return Ok(None);
    }
    let metrics = conn.query_font(font)?.reply()?;
    let width = i32::from(metrics.max_bounds.character_width);
    Ok(Some((font, [width, metrics.font_ascent.into()])))
}
