//! The picture of a window, through memory that the display server and this program share.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::ReplyError;
use x11rb::protocol::composite::{ConnectionExt as _, Redirect};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder, VisualClass};
use x11rb::rust_connection::RustConnection;

use crate::source::{Crop, Picture};
use crate::{Error, Result};

/// Bytes of a pixel.
const PIXEL: usize = 4;

/// Takes the pictures of a window. Its content is redirected into a pixmap, so that nothing that lies over the window
/// is in them.
pub(super) struct Camera {
    window: u32,
    /// The window's content; named anew when the window has been hidden.
    pixmap: u32,
    /// Whether [`Camera::pixmap`] is of before the window was hidden.
    stale: bool,
    crop: Crop,
    border: u32,
    segment: u32,
    memory: File,
    pixels: Vec<u8>,
    /// Where red, green and blue are in a pixel.
    channels: [usize; 3],
}

impl Camera {
    /// Prepares pictures of a part of the window.
    ///
    /// # Errors
    /// Returns an error if the window is gone or hidden, has other pixels than 8 bits a channel, or if the display
    /// lacks what is needed.
    pub fn new(conn: &RustConnection, window: u32, crop: Crop) -> Result<Self> {
        check_extensions(conn)?;
        let gone = |_| Error::Window(format!("the window {window:#x} is gone"));
        let geometry = conn.get_geometry(window)?;
        let geometry = geometry.reply().map_err(gone)?;
        let attributes = conn.get_window_attributes(window)?;
        let attributes = attributes.reply().map_err(gone)?;
        let channels = channels(conn, attributes.visual, geometry.depth)?;
        let redirected = conn.composite_redirect_window(window, Redirect::AUTOMATIC);
        let redirected = redirected?;
        redirected.check()?;
        let bytes = crop.width as usize * crop.height as usize * PIXEL;
        let segment = conn.generate_id()?;
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let shared = conn.shm_create_segment(segment, length, false);
        let shared = shared?.reply().map_err(|_| no_shared_memory())?;
        let mut camera = Self {
            window,
            pixmap: 0,
            stale: true,
            crop,
            border: geometry.border_width.into(),
            segment,
            memory: File::from(shared.shm_fd),
            pixels: vec![0; bytes],
            channels,
        };
        if !camera.name_pixmap(conn)? {
            let what = "the window is hidden or minimized: bring it to the screen first";
            return Err(Error::Window(what.into()));
        }
        Ok(camera)
    }

    /// The window has been hidden: its pixmap will be another when it is shown again.
    pub fn hidden(&mut self) {
        self.stale = true;
    }

    /// Gets the pixmap of the window's content. False if the window is hidden.
    fn name_pixmap(&mut self, conn: &RustConnection) -> Result<bool> {
        if self.pixmap != 0 {
            conn.free_pixmap(self.pixmap)?;
            self.pixmap = 0;
        }
        let pixmap = conn.generate_id()?;
        let named = conn.composite_name_window_pixmap(self.window, pixmap);
        if named?.check().is_err() {
            return Ok(false);
        }
        (self.pixmap, self.stale) = (pixmap, false);
        Ok(true)
    }

    /// Lets the server write the picture of this moment. Returns the number of the request: events before it came
    /// before the picture. `None` if the window is hidden.
    ///
    /// # Errors
    /// Returns an error if the display has gone.
    pub fn expose(&mut self, conn: &RustConnection) -> Result<Option<u64>> {
        if self.stale && !self.name_pixmap(conn)? {
            return Ok(None);
        }
        let Crop {
            x,
            y,
            width,
            height,
        } = self.crop;
        // The window's sides fit into 16 bits, and the crop is inside.
        let [x, y] = [x + self.border, y + self.border].map(|at| at as i16);
        let [width, height] = [width, height].map(|side| side as u16);
        let format = ImageFormat::Z_PIXMAP.into();
        let cookie = conn.shm_get_image(
            self.pixmap,
            x,
            y,
            width,
            height,
            u32::MAX,
            format,
            self.segment,
            0,
        );
        let cookie = cookie?;
        let sequence = cookie.sequence_number();
        match cookie.reply() {
            Ok(_) => Ok(Some(sequence)),
            Err(ReplyError::ConnectionError(error)) => Err(error.into()),
            Err(_) => {
                self.stale = true;
                Ok(None)
            }
        }
    }

    /// Reads what [`Camera::expose`] has let the server write.
    ///
    /// # Errors
    /// Returns an error if the shared memory cannot be read.
    pub fn develop(&mut self, picture: &mut Picture) -> Result<()> {
        let read = self.memory.read_exact_at(&mut self.pixels, 0);
        read.map_err(|e| Error::Display(format!("cannot read the picture: {e}")))?;
        (picture.width, picture.height) = (self.crop.width as usize, self.crop.height as usize);
        picture.rgb.clear();
        let [red, green, blue] = self.channels;
        let pixels = self.pixels.chunks_exact(PIXEL);
        picture
            .rgb
            .extend(pixels.flat_map(|pixel| [pixel[red], pixel[green], pixel[blue]]));
        Ok(())
    }
}

fn no_shared_memory() -> Error {
    let what = "the display shares no memory with this program: run both on the same machine";
    Error::Unsupported(what.into())
}

/// Checks for shared memory, and for pixmaps of windows.
fn check_extensions(conn: &RustConnection) -> Result<()> {
    let has = |name| {
        let found = conn.extension_information(name)?;
        Ok::<_, Error>(found.is_some())
    };
    if !has(shm::X11_EXTENSION_NAME)? {
        return Err(no_shared_memory());
    }
    if !has(x11rb::protocol::composite::X11_EXTENSION_NAME)? {
        let what = "the display server lacks the extension Composite, which gives pictures of single windows";
        return Err(Error::Unsupported(what.into()));
    }
    let version = conn.composite_query_version(0, 4)?;
    version.reply()?;
    Ok(())
}

/// Where red, green and blue are in the bytes of a pixel.
fn channels(conn: &RustConnection, visual: u32, depth: u8) -> Result<[usize; 3]> {
    let setup = conn.setup();
    let depths = setup.roots.iter().flat_map(|screen| &screen.allowed_depths);
    let visual = depths
        .flat_map(|depth| &depth.visuals)
        .find(|one| one.visual_id == visual);
    let format = setup
        .pixmap_formats
        .iter()
        .find(|format| format.depth == depth);
    let bits = format.map_or(0, |format| usize::from(format.bits_per_pixel));
    let position = |mask: u32| {
        let shift = mask.trailing_zeros();
        let whole = mask.checked_shr(shift) == Some(0xff) && shift.is_multiple_of(8);
        let byte = (shift / 8) as usize;
        let turned = setup.image_byte_order == ImageOrder::MSB_FIRST;
        whole.then_some(if turned { PIXEL - 1 - byte } else { byte })
    };
    // Older games have a colour map of their own (DirectColor), for brightness: it is left out.
    let classes = [VisualClass::TRUE_COLOR, VisualClass::DIRECT_COLOR];
    let positions = visual
        .filter(|visual| classes.contains(&visual.class) && bits == 8 * PIXEL)
        .and_then(|visual| {
            Some([
                position(visual.red_mask)?,
                position(visual.green_mask)?,
                position(visual.blue_mask)?,
            ])
        });
    positions.ok_or_else(|| {
        let what =
            "the window's pixels have another form than 8 bits for each of red, green and blue";
        Error::Unsupported(what.into())
    })
}
