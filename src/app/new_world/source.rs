//! Where the frames come from: a simulator, a dataset, recordings of others, or a run begun before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use eframe::egui::{
    self, ColorImage, ComboBox, DragValue, Image, RichText, TextureHandle, TextureOptions, Ui, vec2,
};

use super::widgets::{self, PathField, Wanted, card, primary, title};
use super::{Ask, Wish};
use crate::app::theme;
use crate::workspace::{Notify, Places, places};
use driftless_data::import::Format;
use driftless_model::checkpoint::CONFIG;
use driftless_worlds::Kind;

/// Side of a simulator's picture.
const PICTURE: f32 = 112.0;
/// Folders of a kind that are offered.
const LISTED: usize = 6;
/// The formats of others, with what each is.
const FORMATS: [(Format, &str, &str); 4] = [
    (
        Format::Vpt,
        "vpt",
        "a folder of videos, NAME.mp4, each with its actions in NAME.jsonl, as OpenAI's VPT recorded Minecraft",
    ),
    (
        Format::Lerobot,
        "lerobot",
        "a LeRobot dataset (version 2.0 or 2.1); continuous actions need a map",
    ),
    (
        Format::Minari,
        "minari",
        "a Minari dataset's folder or its main_data.hdf5",
    ),
    (
        Format::Images,
        "images",
        "a folder of pictures with one .csv: columns file, action, and optionally episode",
    ),
];

/// The step.
pub(super) struct Source {
    pictures: Vec<(Kind, TextureHandle)>,
    frames: usize,
    data: PathField,
    format: Format,
    import: PathField,
    map: PathField,
    source_fps: f32,
    run: PathField,
    /// The dataset of a run that does not name it.
    run_data: Option<PathField>,
    datasets: Vec<PathBuf>,
    runs: Vec<PathBuf>,
    worlds: Vec<PathBuf>,
}

impl Source {
    pub fn new() -> Self {
        Self {
            pictures: Vec::new(),
            frames: 20_000,
            data: PathField::new(
                Wanted::Folder,
                "a folder with dataset.json; or drop it here",
            ),
            format: Format::Vpt,
            import: PathField::new(
                Wanted::Folder,
                "the folder; or drop it, or one of its videos",
            ),
            map: PathField::new(Wanted::File, "which actions are which (TOML); optional"),
            source_fps: 15.0,
            run: PathField::new(Wanted::Folder, "a run's folder; or drop it here"),
            run_data: None,
            datasets: Vec::new(),
            runs: Vec::new(),
            worlds: Vec::new(),
        }
    }

    /// Looks what the person's places hold.
    pub fn list(&mut self, places: &Places) {
        self.datasets = places.datasets();
        self.runs = places.begun_runs();
        self.worlds = places.saved_worlds();
    }

    pub fn listen(&mut self) {
        for field in [
            &mut self.data,
            &mut self.import,
            &mut self.map,
            &mut self.run,
        ] {
            field.listen();
        }
        self.run_data.iter_mut().for_each(PathField::listen);
    }

    /// Asks which dataset a run was trained from.
    pub fn want_data_of(&mut self, run: &Path) {
        self.run.text = run.to_string_lossy().into_owned();
        let hint = "the dataset that the run was trained from";
        self.run_data = Some(PathField::new(Wanted::Folder, hint));
    }

    /// What a dropped file or folder is for; without an answer it is put into a field.
    pub fn dropped(&mut self, path: &Path) -> Option<Wish> {
        if path.join("dataset.json").is_file() {
            return Some(Wish::Data(path.to_path_buf()));
        }
        if path.join("settings.toml").is_file() {
            let folder = path.to_path_buf();
            return Some(Wish::OpenRun { folder, data: None });
        }
        if path.join(CONFIG).is_file() {
            return Some(Wish::Ask(Ask::Play(path.to_path_buf())));
        }
        // A single video stands for its folder, where its actions lie too.
        let folder = match path.is_dir() {
            true => path,
            false => path.parent().unwrap_or(path),
        };
        self.import.text = folder.to_string_lossy().into_owned();
        None
    }

    pub fn forget_pictures(&mut self) {
        self.pictures.clear();
    }

    pub fn ui(&mut self, ui: &mut Ui, places: &Places, notify: &Notify) -> Option<Wish> {
        let simulator = card(ui, |ui| self.simulators(ui, places));
        let data = card(ui, |ui| self.dataset(ui, notify));
        let import = card(ui, |ui| self.others(ui, places, notify));
        let run = card(ui, |ui| self.runs(ui, notify));
        let world = match self.worlds.is_empty() {
            true => None,
            false => card(ui, |ui| self.worlds(ui)),
        };
        simulator.or(data).or(import).or(run).or(world)
    }

    fn simulators(&mut self, ui: &mut Ui, places: &Places) -> Option<Wish> {
        title(
            ui,
            "Record a world that is built in",
            "Play the real simulator: every frame and every key is kept. A scripted player can do it for you.",
        );
        if self.pictures.is_empty() {
            self.pictures = [Kind::Maze, Kind::Drive]
                .map(|kind| (kind, picture(ui, kind)))
                .into();
        }
        let mut wish = None;
        ui.horizontal_wrapped(|ui| {
            for (kind, picture) in &self.pictures {
                ui.group(|ui| {
                    ui.add(Image::new((picture.id(), vec2(PICTURE, PICTURE))).corner_radius(6));
                    ui.vertical(|ui| {
                        ui.set_width(180.0);
                        let name = match kind {
                            Kind::Maze => "Maze",
                            Kind::Drive => "Drive",
                        };
                        ui.label(RichText::new(name).strong().color(theme::text()));
                        ui.label(RichText::new(kind.about()).color(theme::muted()));
                        if primary(ui, "Play and record", true).clicked() {
                            wish = Some(Wish::Ask(Ask::Record(*kind)));
                        }
                    });
                });
            }
        });
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Or let the script play").color(theme::muted()));
            let frames = DragValue::new(&mut self.frames)
                .range(100..=1_000_000)
                .speed(500)
                .suffix(" frames");
            ui.add(frames);
            for kind in [Kind::Maze, Kind::Drive] {
                if ui.button(format!("of {}", kind.name())).clicked() {
                    wish = Some(script(kind, self.frames, places));
                }
            }
        });
        wish
    }

    fn dataset(&mut self, ui: &mut Ui, notify: &Notify) -> Option<Wish> {
        title(
            ui,
            "A dataset",
            "Episodes that were recorded here, on the command line, or by the scripts that come with the program.",
        );
        let mut wish = None;
        ui.horizontal(|ui| {
            let failed = self.data.ui(ui, 112.0, notify).err();
            let path = self.data.path();
            if primary(ui, "Use", path.is_some()).clicked() {
                wish = path.map(Wish::Data);
            }
            wish = wish.take().or(failed.map(no_dialog));
        });
        if let Some(folder) = listed(ui, &self.datasets) {
            wish = Some(Wish::Data(folder));
        }
        wish
    }

    fn others(&mut self, ui: &mut Ui, places: &Places, notify: &Notify) -> Option<Wish> {
        title(
            ui,
            "Videos and recordings of others",
            "A world learns what keys do, so each frame needs its action beside it. Videos need ffmpeg.",
        );
        let mut failed = None;
        let (_, word, about) = format(self.format);
        widgets::named(ui, "Format", |ui| {
            ComboBox::from_id_salt("format")
                .selected_text(word)
                .show_ui(ui, |ui| {
                    for (format, word, _) in FORMATS {
                        ui.selectable_value(&mut self.format, format, word);
                    }
                });
            ui.add(egui::Label::new(RichText::new(about).color(theme::muted())).wrap());
        });
        widgets::named(ui, "From", |ui| {
            failed = self.import.ui(ui, 0.0, notify).err();
        });
        if self.format != Format::Vpt {
            widgets::named(ui, "Action map", |ui| {
                failed = failed.take().or(self.map.ui(ui, 0.0, notify).err());
            });
        }
        if matches!(self.format, Format::Images | Format::Minari) {
            widgets::named(ui, "Its pace", |ui| {
                let pace = DragValue::new(&mut self.source_fps).range(0.1..=240.0);
                ui.add(pace.suffix(" frames/s"));
            });
        }
        let path = self.import.path();
        let clicked = primary(ui, "Import", path.is_some()).clicked();
        let wish = path
            .filter(|_| clicked)
            .map(|path| self.import(&path, places));
        wish.or(failed.map(no_dialog))
    }

    /// The import of `path` as the command line would do it.
    fn import(&self, path: &Path, places: &Places) -> Wish {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = places::folder_name(&name).unwrap_or_else(|_| "import".into());
        let folder = places::free(&places.data(), &name);
        let (_, word, _) = format(self.format);
        let mut arguments: Vec<OsString> = ["import", "--from", word].map(Into::into).into();
        arguments.extend([path.into(), "--out".into(), folder.clone().into()]);
        if let Some(map) = self.map.path().filter(|_| self.format != Format::Vpt) {
            arguments.extend(["--actions".into(), map.into()]);
        }
        if matches!(self.format, Format::Images | Format::Minari) {
            arguments.extend(["--source-fps".into(), self.source_fps.to_string().into()]);
        }
        Wish::Make {
            what: format!("Importing {}", path.display()),
            folder,
            arguments,
        }
    }

    fn runs(&mut self, ui: &mut Ui, notify: &Notify) -> Option<Wish> {
        title(
            ui,
            "Go on with a run",
            "Training that was stopped goes on exactly where it was.",
        );
        let mut wish = None;
        ui.horizontal(|ui| {
            wish = self.run.ui(ui, 112.0, notify).err().map(no_dialog);
            let path = self.run.path();
            if primary(ui, "Open", path.is_some()).clicked() {
                let data = self.run_data.as_ref().and_then(PathField::path);
                wish = path.map(|folder| Wish::OpenRun { folder, data });
            }
        });
        if let Some(data) = &mut self.run_data {
            widgets::named(ui, "Its dataset", |ui| {
                wish = wish
                    .take()
                    .or(data.ui(ui, 0.0, notify).err().map(no_dialog));
            });
        }
        if let Some(folder) = listed(ui, &self.runs) {
            wish = Some(Wish::OpenRun { folder, data: None });
        }
        wish
    }

    fn worlds(&mut self, ui: &mut Ui) -> Option<Wish> {
        title(ui, "Play a world that you saved", "");
        listed(ui, &self.worlds).map(|folder| Wish::Ask(Ask::Play(folder)))
    }
}

fn format(format: Format) -> (Format, &'static str, &'static str) {
    let mut all = FORMATS.into_iter();
    all.find(|(own, _, _)| *own == format)
        .unwrap_or((format, "", ""))
}

fn no_dialog(error: crate::Error) -> Wish {
    let what = "No dialog opens; the path can be typed";
    Wish::Failed { what, error }
}

/// A simulator's own picture.
fn picture(ui: &Ui, kind: Kind) -> TextureHandle {
    let world = kind.open(2);
    let [height, width] = world.info().image;
    let image = ColorImage::from_rgb([width, height], world.image());
    let name = format!("simulator-{}", kind.name());
    ui.ctx().load_texture(name, image, TextureOptions::NEAREST)
}

/// The scripted player, as the command line starts it. Another folder is another seed.
fn script(kind: Kind, frames: usize, places: &Places) -> Wish {
    let folder = places::free(&places.data(), &format!("{}-script", kind.name()));
    let seed = rand::random_range(0..1_000_000_u32);
    let mut arguments: Vec<OsString> = ["record", "--world", kind.name(), "--frames"]
        .map(Into::into)
        .into();
    arguments.extend([frames.to_string().into(), "--seed".into()]);
    arguments.extend([
        seed.to_string().into(),
        "--out".into(),
        folder.clone().into(),
    ]);
    Wish::Make {
        what: format!("The script plays {frames} frames of {}", kind.name()),
        folder,
        arguments,
    }
}

/// A row of folders by name; the one that was clicked.
fn listed(ui: &mut Ui, folders: &[PathBuf]) -> Option<PathBuf> {
    let mut clicked = None;
    if folders.is_empty() {
        return clicked;
    }
    ui.horizontal_wrapped(|ui| {
        for folder in folders.iter().take(LISTED) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let button = ui.button(RichText::new(name.as_ref()));
            if button.on_hover_text(folder.display().to_string()).clicked() {
                clicked = Some(folder.clone());
            }
        }
    });
    clicked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(wish: Wish) -> Vec<String> {
        match wish {
            Wish::Make { arguments, .. } => arguments
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_is_dropped_is_known_by_what_it_holds() {
        let root = tempfile::tempdir().unwrap();
        let folder = |file: &str| {
            let folder = root.path().join(file);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(file), "").unwrap();
            folder
        };
        let mut source = Source::new();
        let data = source.dropped(&folder("dataset.json"));
        assert!(matches!(data, Some(Wish::Data(_))));
        let run = source.dropped(&folder("settings.toml"));
        assert!(matches!(run, Some(Wish::OpenRun { .. })));
        let world = source.dropped(&folder("config.json"));
        assert!(matches!(world, Some(Wish::Ask(Ask::Play(_)))));
        let video = folder("a.mp4").join("a.mp4");
        assert!(source.dropped(&video).is_none());
        assert_eq!(source.import.path(), video.parent().map(Path::to_path_buf));
    }

    #[test]
    fn an_import_is_the_command_lines_own() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        let mut source = Source::new();
        let vpt = words(source.import(Path::new("some/contractor"), &places));
        assert_eq!(vpt[..4], ["import", "--from", "vpt", "some/contractor"]);
        assert!(vpt[5].ends_with("contractor") && vpt.len() == 6, "{vpt:?}");
        source.format = Format::Images;
        source.map.text = "map.toml".into();
        let images = words(source.import(Path::new("shots"), &places));
        assert_eq!(images[6..], ["--actions", "map.toml", "--source-fps", "15"]);
    }
}
