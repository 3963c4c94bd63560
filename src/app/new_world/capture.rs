//! The source that records the window of another program: which window, which part of it, which keys.

use std::ffi::OsString;

use eframe::egui;
use eframe::egui::{
    ColorImage, CornerRadius, DragValue, Image, Pos2, Rect, RichText, Sense, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Ui, vec2,
};

use driftless_capture::{ChosenKey, Crop, Picture, WindowInfo, stills, windows};
use driftless_data::text::printable;

use super::action::{DatasetJob, StepAction};
use super::captured::sentence;
use super::widgets::{self, primary, title};

use crate::app::theme;
use crate::workspace::{BackgroundTask, Notify, UserPaths, frame_size, paths};

/// Largest sides of a window's picture in the list, in points.
const SMALL: [f32; 2] = [150.0, 96.0];
/// Largest sides of the chosen window's picture, in points.
const LARGE: [f32; 2] = [440.0, 320.0];
/// A crop has at least so many pixels a side; less is a click.
const MIN_CROP: f32 = 16.0;
/// Seconds in which the keys are learned.
const LEARN_SECONDS: &str = "10";

/// A window, with its picture unless it is hidden.
struct Candidate {
    window: WindowInfo,
    picture: Option<Picture>,
    texture: Option<TextureHandle>,
}

/// The windows that there are.
enum Windows {
    NotAsked,
    Reading(BackgroundTask<Vec<(WindowInfo, Option<Picture>)>>),
    Listed(Vec<Candidate>),
    Failed(String),
}

/// The card of this source.
pub(super) struct CaptureSource {
    windows: Windows,
    /// The number of the chosen window.
    chosen: Option<u32>,
    /// Where a drag over the picture began, in pixels of the window.
    drag: Option<Pos2>,
    crop: Option<Crop>,
    keys: String,
    fps: f32,
    size: [usize; 2],
}

impl CaptureSource {
    pub fn new() -> Self {
        Self {
            windows: Windows::NotAsked,
            chosen: None,
            drag: None,
            crop: None,
            keys: String::new(),
            fps: 15.0,
            size: [64, 64],
        }
    }

    pub fn poll(&mut self) {
        let Windows::Reading(task) = &self.windows else {
            return;
        };
        self.windows = match task.take() {
            Some(Ok(found)) => Windows::Listed(found.into_iter().map(candidate).collect()),
            Some(Err(error)) => Windows::Failed(error.to_string()),
            None => return,
        };
    }

    pub fn drop_textures(&mut self) {
        if let Windows::Listed(candidates) = &mut self.windows {
            for candidate in candidates {
                candidate.texture = None;
            }
        }
    }

    pub fn ui(&mut self, ui: &mut Ui, paths: &UserPaths, notify: &Notify) -> Option<StepAction> {
        title(
            ui,
            "Record a game's window",
            "Play any game while its picture and your keys are recorded. Only the window that you choose, and only while \
             it has the keyboard's focus; of all keys only those that you choose.",
        );
        let look = match &self.windows {
            Windows::NotAsked => primary(ui, "Choose a window", true).clicked(),
            Windows::Reading(_) => {
                widgets::activity(ui);
                false
            }
            Windows::Failed(what) => {
                let text = RichText::new(what).color(theme::palette(ui).alert);
                ui.add(egui::Label::new(text).wrap());
                ui.button("Look again").clicked()
            }
            Windows::Listed(_) => self.list(ui),
        };
        if look {
            self.look(notify);
        }
        self.chosen_window().and_then(|window| {
            ui.add_space(8.0);
            self.choices(ui, &window, paths)
        })
    }

    /// Reads the windows and their pictures.
    fn look(&mut self, notify: &Notify) {
        let task = BackgroundTask::start(notify.clone(), |_| {
            let own = std::process::id();
            let mut found = windows(None)?;
            found.retain(|window| window.pid != Some(own));
            let ids: Vec<u32> = found.iter().map(|window| window.id).collect();
            Ok(found.into_iter().zip(stills(None, &ids)?).collect())
        });
        (self.chosen, self.crop) = (None, None);
        self.windows = match task {
            Ok(task) => Windows::Reading(task),
            Err(error) => Windows::Failed(error.to_string()),
        };
    }

    /// Draws all windows to choose from; returns whether to look again.
    fn list(&mut self, ui: &mut Ui) -> bool {
        let Windows::Listed(candidates) = &mut self.windows else {
            return false;
        };
        if candidates.is_empty() {
            ui.label(RichText::new("No other window is open.").color(theme::palette(ui).muted));
        }
        let mut clicked = None;
        ui.horizontal_wrapped(|ui| {
            for candidate in candidates.iter_mut() {
                let is_chosen = self.chosen == Some(candidate.window.id);
                if candidate.button(ui, is_chosen) {
                    clicked = Some(candidate.window.id);
                }
            }
        });
        if clicked.is_some() {
            (self.chosen, self.crop, self.drag) = (clicked, None, None);
        }
        ui.button("Look again").clicked()
    }

    fn chosen_window(&self) -> Option<WindowInfo> {
        let Windows::Listed(candidates) = &self.windows else {
            return None;
        };
        let mut windows = candidates.iter().map(|candidate| &candidate.window);
        windows
            .find(|window| Some(window.id) == self.chosen)
            .cloned()
    }

    fn choices(
        &mut self,
        ui: &mut Ui,
        window: &WindowInfo,
        paths: &UserPaths,
    ) -> Option<StepAction> {
        widgets::labelled(ui, "Part", |ui| {
            ui.vertical(|ui| self.crop_picture(ui));
        });
        widgets::labelled(ui, "Keys", |ui| {
            let edit = egui::TextEdit::singleline(&mut self.keys)
                .hint_text("Left, Right, space; or nothing")
                .desired_width(260.0);
            ui.add(edit);
            let about = "Leave it empty to play for ten seconds: the keys that you press then are recorded.";
            ui.add(egui::Label::new(RichText::new(about).color(theme::palette(ui).muted)).wrap());
        });
        widgets::labelled(ui, "Frames", |ui| {
            let fps = DragValue::new(&mut self.fps)
                .range(1.0..=60.0)
                .max_decimals(1);
            ui.add(fps.suffix(" a second"));
            let [height, width] = &mut self.size;
            for (side, suffix) in [(width, " wide"), (height, " high")] {
                let value = DragValue::new(side).range(16..=256).speed(8);
                ui.add(value.suffix(suffix));
            }
        });
        if let Some(remark) = frame_size::remark(self.size) {
            widgets::labelled(ui, "", |ui| {
                let text = RichText::new(sentence(&remark)).color(theme::palette(ui).alert);
                ui.add(egui::Label::new(text).wrap());
            });
        }
        let unknown = self.unknown_key();
        let mut start = false;
        ui.horizontal(|ui| {
            start = primary(ui, "Record", unknown.is_none()).clicked();
            let palette = theme::palette(ui);
            let (about, colour) = match &unknown {
                Some(what) => (what.as_str(), palette.alert),
                None => (
                    "Then click into the game. F11 pauses and goes on, F12 stops.",
                    palette.muted,
                ),
            };
            ui.add(egui::Label::new(RichText::new(about).color(colour)).wrap());
        });
        start.then(|| self.record(window, paths))
    }

    /// What is wrong with the list of keys, if something is.
    fn unknown_key(&self) -> Option<String> {
        let keys = self.keys.trim();
        let wrong = (!keys.is_empty()).then(|| ChosenKey::parse_list(keys).err());
        wrong.flatten().map(|error| error.to_string())
    }

    /// Draws the chosen window; dragging over it chooses the part that is recorded.
    fn crop_picture(&mut self, ui: &mut Ui) {
        let Windows::Listed(candidates) = &mut self.windows else {
            return;
        };
        let mut candidates = candidates.iter_mut();
        let chosen = candidates.find(|candidate| Some(candidate.window.id) == self.chosen);
        let Some(candidate) = chosen else {
            return;
        };
        let Some(texture) = candidate.texture(ui) else {
            let what =
                "This window is hidden or minimized: bring it to the screen, and look again.";
            ui.label(RichText::new(what).color(theme::palette(ui).alert));
            return;
        };
        let size = texture.size_vec2();
        let scale = (LARGE[0] / size.x).min(LARGE[1] / size.y).min(2.0);
        let image = Image::new((texture.id(), size * scale)).sense(Sense::click_and_drag());
        let shown = ui.add(image);
        let pixel = |at: Pos2| {
            let at = (at - shown.rect.min) / scale;
            Pos2::ZERO + vec2(at.x.clamp(0.0, size.x), at.y.clamp(0.0, size.y))
        };
        if shown.drag_started() {
            // Where the button went down, not where the pointer was seen to have moved.
            self.drag = ui.input(|input| input.pointer.press_origin()).map(pixel);
        }
        if let (Some(from), Some(to)) = (self.drag, shown.interact_pointer_pos().map(pixel)) {
            self.crop = crop_of(Rect::from_two_pos(from, to));
        }
        if shown.drag_stopped() {
            self.drag = None;
        }
        if let Some(crop) = self.crop {
            let corner = vec2(crop.x as f32, crop.y as f32) * scale;
            let sides = vec2(crop.width as f32, crop.height as f32) * scale;
            let part = Rect::from_min_size(shown.rect.min + corner, sides);
            let stroke = Stroke::new(2.0, theme::palette(ui).accent);
            ui.painter()
                .rect_stroke(part, CornerRadius::ZERO, stroke, StrokeKind::Outside);
        }
        ui.horizontal(|ui| {
            let text = match self.crop {
                Some(crop) => format!(
                    "{}×{} pixels at {}, {}",
                    crop.width, crop.height, crop.x, crop.y
                ),
                None => "All of it; drag over the picture to record a part.".to_owned(),
            };
            ui.label(RichText::new(text).color(theme::palette(ui).muted));
            if self.crop.is_some() && ui.button("All of it").clicked() {
                self.crop = None;
            }
        });
    }

    /// Runs the same capture as the command line.
    fn record(&self, window: &WindowInfo, paths: &UserPaths) -> StepAction {
        let name = paths::folder_name(&window.title).unwrap_or_else(|_| "capture".into());
        let folder = paths::unused_folder(&paths.data(), &name);
        let [height, width] = self.size;
        let mut arguments: Vec<OsString> = vec![
            "capture".into(),
            format!("--window={:#x}", window.id).into(),
            format!("--fps={}", self.fps).into(),
            format!("--size={height}x{width}").into(),
            "--out".into(),
            folder.clone().into(),
            "--json".into(),
        ];
        match self.keys.trim() {
            "" => arguments.push(format!("--learn-keys={LEARN_SECONDS}").into()),
            keys => arguments.push(format!("--keys={keys}").into()),
        }
        if let Some(crop) = self.crop {
            let Crop {
                x,
                y,
                width,
                height,
            } = crop;
            arguments.push(format!("--crop={x},{y},{width},{height}").into());
        }
        StepAction::Capture(DatasetJob {
            what: format!(
                "Recording the window {}. Click into it and play; F11 pauses, F12 stops.",
                printable(&window.title)
            ),
            folder,
            arguments,
        })
    }
}

impl Candidate {
    /// The picture as a texture, unless the window is hidden.
    fn texture(&mut self, ui: &Ui) -> Option<TextureHandle> {
        if self.texture.is_none() {
            let picture = self.picture.as_ref()?;
            let image = ColorImage::from_rgb([picture.width, picture.height], &picture.rgb);
            let name = format!("window-{:#x}", self.window.id);
            self.texture = Some(ui.ctx().load_texture(name, image, TextureOptions::LINEAR));
        }
        self.texture.clone()
    }

    /// Draws the window to choose; returns whether it was clicked.
    fn button(&mut self, ui: &mut Ui, is_chosen: bool) -> bool {
        let texture = self.texture(ui);
        let palette = theme::palette(ui);
        let line = if is_chosen {
            palette.accent
        } else {
            palette.line
        };
        let frame = egui::Frame::new()
            .stroke(Stroke::new(2.0, line))
            .corner_radius(6)
            .inner_margin(6);
        let shown = frame.show(ui, |ui| {
            ui.vertical(|ui| {
                ui.set_width(SMALL[0]);
                let room = vec2(SMALL[0], SMALL[1]);
                let (rect, _) = ui.allocate_exact_size(room, Sense::hover());
                match texture {
                    Some(texture) => {
                        let size = texture.size_vec2();
                        let scale = (SMALL[0] / size.x).min(SMALL[1] / size.y);
                        let place = Rect::from_center_size(rect.center(), size * scale);
                        Image::new((texture.id(), place.size())).paint_at(ui, place);
                    }
                    None => {
                        let hidden = RichText::new("hidden").color(palette.muted);
                        ui.put(rect, egui::Label::new(hidden));
                    }
                }
                let name = match self.window.title.as_str() {
                    "" => &self.window.process,
                    title => title,
                };
                let text = RichText::new(printable(name)).color(palette.text);
                ui.add(egui::Label::new(text).truncate().selectable(false));
            });
        });
        let [width, height] = self.window.size;
        let about = format!("{} ({width}×{height})", printable(&self.window.process));
        let response = shown.response.interact(Sense::click()).on_hover_text(about);
        response.clicked()
    }
}

fn candidate((window, picture): (WindowInfo, Option<Picture>)) -> Candidate {
    Candidate {
        window,
        picture,
        texture: None,
    }
}

/// The whole pixels of a rectangle; `None` if it is too small to be meant.
fn crop_of(rect: Rect) -> Option<Crop> {
    let [min, max] = [rect.min.round(), rect.max.round()];
    let size = max - min;
    (size.min_elem() >= MIN_CROP).then_some(Crop {
        x: min.x as u32,
        y: min.y as u32,
        width: size.x as u32,
        height: size.y as u32,
    })
}

#[cfg(test)]
mod tests {
    use eframe::egui::pos2;

    use super::*;

    fn words(action: StepAction) -> Vec<String> {
        let StepAction::Capture(DatasetJob { arguments, .. }) = action else {
            panic!("not a capture");
        };
        let words = arguments.iter().map(|word| word.to_string_lossy());
        words.map(std::borrow::Cow::into_owned).collect()
    }

    #[test]
    fn capture_uses_the_command_line() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let window = WindowInfo {
            id: 0x40_0003,
            title: "Some Game: level 1/2".into(),
            ..WindowInfo::default()
        };
        let mut source = CaptureSource::new();
        let learned = words(source.record(&window, &paths));
        assert_eq!(learned[..2], ["capture", "--window=0x400003"]);
        assert!(
            learned.contains(&"--learn-keys=10".to_owned()),
            "{learned:?}"
        );
        let folder = std::path::Path::new(&learned[5]);
        assert_eq!(folder.parent(), Some(&*paths.data()), "{learned:?}");
        source.keys = "Left, space".into();
        source.size = [48, 64];
        source.crop = crop_of(Rect::from_two_pos(pos2(110.4, 60.0), pos2(10.0, 20.6)));
        let chosen = words(source.record(&window, &paths));
        for expected in ["--keys=Left, space", "--size=48x64", "--crop=10,21,100,39"] {
            assert!(chosen.contains(&expected.to_owned()), "{chosen:?}");
        }
    }

    #[test]
    fn click_is_no_crop() {
        let at = pos2(100.0, 100.0);
        assert_eq!(crop_of(Rect::from_two_pos(at, at + vec2(300.0, 3.0))), None);
    }

    #[test]
    fn unknown_keys_are_named() {
        let mut source = CaptureSource::new();
        assert_eq!(source.unknown_key(), None);
        source.keys = "Left, Fire".into();
        assert!(source.unknown_key().unwrap().contains("Fire"));
    }
}
