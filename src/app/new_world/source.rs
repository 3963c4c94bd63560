//! The source step: a simulator, a dataset, an import, or an existing training run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use eframe::egui;
use eframe::egui::{
    ColorImage, ComboBox, DragValue, Image, RichText, TextureHandle, TextureOptions, Ui, vec2,
};

use driftless_data::import::ImportFormat;
use driftless_data::layout::dataset;
use driftless_model::checkpoint::CONFIG;
use driftless_train::RunLayout;
use driftless_worlds::SimulatorKind;

use super::action::{DatasetJob, PageRequest, StepAction};
use super::capture::CaptureSource;
use super::widgets;
use super::widgets::{card, primary, title};
use crate::app::path_field::{PathField, PathKind};
use crate::app::text::grouped;
use crate::app::theme;
use crate::workspace::{Notify, UserPaths, paths};

/// Side of a simulator's picture, in points.
const PICTURE: f32 = 112.0;
/// Width of a simulator's card, in points.
const SIMULATOR: f32 = 330.0;
/// Maximum number of folders listed per kind.
const MAX_LISTED: usize = 6;

/// The source step.
pub(super) struct SourceStep {
    pictures: Vec<(SimulatorKind, TextureHandle)>,
    frames: usize,
    capture: CaptureSource,
    data: PathField,
    format: ImportFormat,
    import: PathField,
    map: PathField,
    source_fps: f32,
    run: PathField,
    /// The dataset of a run that does not name its own.
    run_data: Option<PathField>,
    datasets: Vec<PathBuf>,
    runs: Vec<PathBuf>,
    worlds: Vec<PathBuf>,
}

/// Draws a simulator; returns whether it is to be played and recorded.
fn simulator_card(ui: &mut Ui, kind: SimulatorKind, picture: &TextureHandle) -> bool {
    let group = ui.group(|ui| {
        ui.horizontal(|ui| {
            ui.add(Image::new((picture.id(), vec2(PICTURE, PICTURE))).corner_radius(6));
            ui.vertical(|ui| {
                ui.set_width(180.0);
                let palette = theme::palette(ui);
                ui.label(RichText::new(kind.title()).strong().color(palette.text));
                ui.label(RichText::new(kind.description()).color(palette.muted));
                primary(ui, "Play and record", true).clicked()
            })
            .inner
        })
        .inner
    });
    group.inner
}

impl SourceStep {
    pub fn new() -> Self {
        Self {
            pictures: Vec::new(),
            frames: 20_000,
            capture: CaptureSource::new(),
            data: PathField::new(
                PathKind::Folder,
                "a folder with dataset.json, or drop it here",
            ),
            format: ImportFormat::Vpt,
            import: PathField::new(
                PathKind::Folder,
                "the folder, or drop it or one of its videos here",
            ),
            map: PathField::new(PathKind::File, "action map (TOML), optional"),
            source_fps: 15.0,
            run: PathField::new(PathKind::Folder, "a run folder, or drop it here"),
            run_data: None,
            datasets: Vec::new(),
            runs: Vec::new(),
            worlds: Vec::new(),
        }
    }

    /// Lists the user's datasets, runs and worlds.
    pub fn list(&mut self, paths: &UserPaths) {
        self.datasets = paths.list_datasets();
        self.runs = paths.list_runs();
        self.worlds = paths.list_worlds();
    }

    pub fn poll(&mut self) {
        for field in [
            &mut self.data,
            &mut self.import,
            &mut self.map,
            &mut self.run,
        ] {
            field.poll();
        }
        self.run_data.iter_mut().for_each(PathField::poll);
        self.capture.poll();
    }

    /// Asks for the dataset that a run was trained on.
    pub fn ask_for_data(&mut self, run: &Path) {
        self.run.text = run.to_string_lossy().into_owned();
        let hint = "the dataset that the run was trained on";
        self.run_data = Some(PathField::new(PathKind::Folder, hint));
    }

    /// Recognizes a dropped file or folder; anything else is put into the import field.
    pub fn dropped(&mut self, path: &Path) -> Option<StepAction> {
        if path.join(dataset::INFO).is_file() {
            return Some(StepAction::Data(path.to_path_buf()));
        }
        if RunLayout::new(path).is_run() {
            let folder = path.to_path_buf();
            return Some(StepAction::OpenRun { folder, data: None });
        }
        if path.join(CONFIG).is_file() {
            return Some(StepAction::Request(PageRequest::Play(path.to_path_buf())));
        }
        // A single video stands for its folder, which also holds its actions.
        let folder = if path.is_dir() {
            path
        } else {
            path.parent().unwrap_or(path)
        };
        self.import.text = folder.to_string_lossy().into_owned();
        None
    }

    pub fn drop_textures(&mut self) {
        self.pictures.clear();
        self.capture.drop_textures();
    }

    pub fn ui(&mut self, ui: &mut Ui, paths: &UserPaths, notify: &Notify) -> Option<StepAction> {
        let simulator = card(ui, |ui| self.simulators(ui, paths));
        let capture = card(ui, |ui| self.capture.ui(ui, paths, notify));
        let data = card(ui, |ui| self.dataset(ui, notify));
        let import = card(ui, |ui| self.import_card(ui, paths, notify));
        let run = card(ui, |ui| self.runs(ui, notify));
        let world = if self.worlds.is_empty() {
            None
        } else {
            card(ui, |ui| self.worlds(ui))
        };
        simulator.or(capture).or(data).or(import).or(run).or(world)
    }

    fn simulators(&mut self, ui: &mut Ui, paths: &UserPaths) -> Option<StepAction> {
        title(
            ui,
            "Record a built-in simulator",
            "Play the simulator while every frame and action is recorded, or let a scripted player do it.",
        );
        if self.pictures.is_empty() {
            self.pictures = SimulatorKind::ALL
                .map(|kind| (kind, picture(ui, kind)))
                .into();
        }
        let mut action = None;
        let mut simulator = |ui: &mut Ui, kind: SimulatorKind, picture: &TextureHandle| {
            if simulator_card(ui, kind, picture) {
                action = Some(StepAction::Request(PageRequest::Record(kind)));
            }
        };
        let beside_each_other = ui.available_width() >= SimulatorKind::ALL.len() as f32 * SIMULATOR;
        let mut all = |ui: &mut Ui| {
            for (kind, picture) in &self.pictures {
                simulator(ui, *kind, picture);
            }
        };
        if beside_each_other {
            ui.horizontal_top(|ui| all(ui));
        } else {
            all(ui);
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Record automatically:").color(theme::palette(ui).muted));
            let frames = DragValue::new(&mut self.frames)
                .range(100..=1_000_000)
                .speed(500)
                .custom_formatter(|frames, _| grouped(frames as usize).to_string())
                .custom_parser(|text| text.replace(',', "").parse().ok())
                .suffix(" frames");
            ui.add(frames);
            for kind in SimulatorKind::ALL {
                if ui.button(kind.title()).clicked() {
                    action = Some(script(kind, self.frames, paths));
                }
            }
        });
        action
    }

    fn dataset(&mut self, ui: &mut Ui, notify: &Notify) -> Option<StepAction> {
        title(
            ui,
            "Dataset",
            "Episodes recorded here, on the command line, or by the included scripts.",
        );
        let mut action = None;
        ui.horizontal(|ui| {
            let failed = self.data.ui(ui, 228.0, notify).err();
            let path = self.data.path();
            if primary(ui, "Use", path.is_some()).clicked() {
                action = path.clone().map(StepAction::Data);
            }
            let look = ui.add_enabled(path.is_some(), egui::Button::new("Look through"));
            if look
                .on_hover_text("Shows its episodes, to cut, split or remove some.")
                .clicked()
            {
                action = path.map(|path| StepAction::Request(PageRequest::Browse(path)));
            }
            action = action.take().or(failed.map(dialog_failed));
        });
        if let Some(folder) = folder_buttons(ui, &self.datasets) {
            action = Some(StepAction::Data(folder));
        }
        action
    }

    fn import_card(
        &mut self,
        ui: &mut Ui,
        paths: &UserPaths,
        notify: &Notify,
    ) -> Option<StepAction> {
        title(
            ui,
            "Import recordings",
            "A world learns what actions do, so every frame needs an action. Recordings without action labels cannot be used. Videos need ffmpeg.",
        );
        let mut failed = None;
        widgets::labelled(ui, "Format", |ui| {
            ComboBox::from_id_salt("format")
                .selected_text(self.format.name())
                .show_ui(ui, |ui| {
                    let offered =
                        |format: &ImportFormat| format.is_available() && format.has_actions();
                    for format in ImportFormat::ALL.into_iter().filter(offered) {
                        ui.selectable_value(&mut self.format, format, format.name());
                    }
                });
            let about = self.format.description();
            ui.add(egui::Label::new(RichText::new(about).color(theme::palette(ui).muted)).wrap());
        });
        widgets::labelled(ui, "From", |ui| {
            failed = self.import.ui(ui, 0.0, notify).err();
        });
        if !self.format.names_actions() {
            widgets::labelled(ui, "Action map", |ui| {
                failed = failed.take().or(self.map.ui(ui, 0.0, notify).err());
            });
        }
        if !self.format.has_frame_rate() {
            widgets::labelled(ui, "Frame rate", |ui| {
                let pace = DragValue::new(&mut self.source_fps).range(0.1..=240.0);
                ui.add(pace.suffix(" FPS"));
            });
        }
        let path = self.import.path();
        let clicked = primary(ui, "Import", path.is_some()).clicked();
        let action = path
            .filter(|_| clicked)
            .map(|path| self.import(&path, paths));
        action.or(failed.map(dialog_failed))
    }

    /// Runs the same import as the command line.
    fn import(&self, path: &Path, paths: &UserPaths) -> StepAction {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = paths::folder_name(&name).unwrap_or_else(|_| "import".into());
        let folder = paths::unused_folder(&paths.data(), &name);
        let format = self.format.name();
        let mut arguments: Vec<OsString> = ["import", "--from", format].map(Into::into).into();
        arguments.extend([path.into(), "--out".into(), folder.clone().into()]);
        if let Some(map) = self.map.path().filter(|_| !self.format.names_actions()) {
            arguments.extend(["--actions".into(), map.into()]);
        }
        if !self.format.has_frame_rate() {
            arguments.extend(["--source-fps".into(), self.source_fps.to_string().into()]);
        }
        StepAction::CreateDataset(DatasetJob {
            what: format!("Importing {}…", path.display()),
            folder,
            arguments,
        })
    }

    fn runs(&mut self, ui: &mut Ui, notify: &Notify) -> Option<StepAction> {
        title(
            ui,
            "Resume training",
            "Continue a stopped run exactly where it left off.",
        );
        let mut action = None;
        ui.horizontal(|ui| {
            action = self.run.ui(ui, 112.0, notify).err().map(dialog_failed);
            let path = self.run.path();
            if primary(ui, "Open", path.is_some()).clicked() {
                let data = self.run_data.as_ref().and_then(PathField::path);
                action = path.map(|folder| StepAction::OpenRun { folder, data });
            }
        });
        if let Some(data) = &mut self.run_data {
            widgets::labelled(ui, "Dataset", |ui| {
                action = action
                    .take()
                    .or(data.ui(ui, 0.0, notify).err().map(dialog_failed));
            });
        }
        if let Some(folder) = folder_buttons(ui, &self.runs) {
            action = Some(StepAction::OpenRun { folder, data: None });
        }
        action
    }

    fn worlds(&mut self, ui: &mut Ui) -> Option<StepAction> {
        title(ui, "Play a saved world", "");
        folder_buttons(ui, &self.worlds)
            .map(|folder| StepAction::Request(PageRequest::Play(folder)))
    }
}

fn dialog_failed(error: crate::Error) -> StepAction {
    let what = "Cannot open a file dialog; type the path instead";
    StepAction::Failed { what, error }
}

/// A simulator's first image as a texture.
fn picture(ui: &Ui, kind: SimulatorKind) -> TextureHandle {
    let world = kind.open(2);
    let [height, width] = world.info().image;
    let image = ColorImage::from_rgb([width, height], world.image());
    let name = format!("simulator-{}", kind.name());
    ui.ctx().load_texture(name, image, TextureOptions::NEAREST)
}

/// Records with the scripted player, as on the command line, with a random seed.
fn script(kind: SimulatorKind, frames: usize, paths: &UserPaths) -> StepAction {
    let folder = paths::unused_folder(&paths.data(), &format!("{}-script", kind.name()));
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
    StepAction::CreateDataset(DatasetJob {
        what: format!("Recording {frames} frames of {}…", kind.title()),
        folder,
        arguments,
    })
}

/// Draws a row of folder buttons; returns the clicked folder.
fn folder_buttons(ui: &mut Ui, folders: &[PathBuf]) -> Option<PathBuf> {
    let mut clicked = None;
    if folders.is_empty() {
        return clicked;
    }
    ui.horizontal_wrapped(|ui| {
        for folder in folders.iter().take(MAX_LISTED) {
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

    fn words(action: StepAction) -> Vec<String> {
        match action {
            StepAction::CreateDataset(DatasetJob { arguments, .. }) => arguments
                .iter()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn dropped_folders_are_recognized() {
        let root = tempfile::tempdir().unwrap();
        let folder = |file: &str| {
            let folder = root.path().join(file);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(file), "").unwrap();
            folder
        };
        let mut source = SourceStep::new();
        let data = source.dropped(&folder("dataset.json"));
        assert!(matches!(data, Some(StepAction::Data(_))));
        let run = source.dropped(&folder(RunLayout::SETTINGS));
        assert!(matches!(run, Some(StepAction::OpenRun { .. })));
        let world = source.dropped(&folder("config.json"));
        assert!(matches!(
            world,
            Some(StepAction::Request(PageRequest::Play(_)))
        ));
        let video = folder("a.mp4").join("a.mp4");
        assert!(source.dropped(&video).is_none());
        assert_eq!(source.import.path(), video.parent().map(Path::to_path_buf));
    }

    #[test]
    fn import_uses_command_line() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        let mut source = SourceStep::new();
        let vpt = words(source.import(Path::new("some/contractor"), &paths));
        assert_eq!(vpt[..4], ["import", "--from", "vpt", "some/contractor"]);
        assert!(vpt[5].ends_with("contractor") && vpt.len() == 6, "{vpt:?}");
        source.format = ImportFormat::Images;
        source.map.text = "map.toml".into();
        let images = words(source.import(Path::new("shots"), &paths));
        assert_eq!(images[6..], ["--actions", "map.toml", "--source-fps", "15"]);
    }
}
