//! Where the user is: the game, a page, or a game played from the "New world" page.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{CentralPanel, Frame as Fill, Key, Ui};

use driftless_data::PathError as _;
use driftless_data::layout::{EPISODE_EXTENSION, dataset};
use driftless_engine::DeviceOptions;
use driftless_model::checkpoint::CONFIG;
use driftless_sim::{Frame, History, Session};

use super::screen::Screen;
use crate::app::browse::{BrowsePage, Told};
use crate::app::film::{FilmPage, PageEnd as FilmEnd};
use crate::app::new_world::{NewWorldPage, PageRequest, banner};
use crate::app::session::GameSession;
use crate::app::theme;
use crate::app::transport::{PageEnd, TransportPage};
use crate::app::world_picker::{CurrentWorld, PickerChoice, WorldPicker};
use crate::workspace::playable_world::{CheckpointOrigin, GivenClip};
use crate::workspace::world_file::{self, is_world_file};
use crate::workspace::{BackgroundTask, Notify, PlayableWorld, UserPaths};
use crate::{Error, Result};

/// The main game, parked while another is played from the "New world" page.
pub(super) struct ParkedGame {
    pub session: GameSession,
    pub recording: Option<Session>,
    pub history: History,
    /// Whether leaving the page resumes it.
    pub resume: bool,
}

/// A game being loaded in the background.
enum LoadingGame {
    /// Replaces the current game.
    World(BackgroundTask<PlayableWorld>),
    /// Restarts the current world from another starting scene.
    Start(BackgroundTask<PlayableWorld>),
}

/// A game loaded in the background.
pub(super) enum LoadedGame {
    World(PlayableWorld),
    Start(PlayableWorld),
}

/// What a file dropped outside the "New world" page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DroppedFile {
    /// A checkpoint folder to play.
    World,
    /// A world in one file, to be put among the saved worlds and played.
    WorldFile,
    /// A dataset to look through.
    Dataset,
    /// A recorded episode to compare with.
    Episode,
    /// Actions to play.
    Actions,
    /// A scene to start from.
    StartingScene,
}

/// The pages, and the games behind them.
pub(super) struct Navigation {
    pub screen: Screen,
    /// The game that is parked while another is played from the "New world" page.
    pub parked: Option<ParkedGame>,
    /// The finished recording of an earlier game, written on exit.
    pub previous_recording: Option<Session>,
    /// The "New world" page, once it has been opened.
    pub page: Option<NewWorldPage>,
    /// The worlds page, once it has been opened.
    picker: Option<WorldPicker>,
    /// The page of the transport network that was opened last.
    pub cells: Option<TransportPage>,
    /// Whether the program was started for that page, and nobody has chosen a game since.
    pub cells_first: bool,
    /// The page that makes clips of the world that it was opened for last.
    film: Option<FilmPage>,
    /// The page of the dataset that was opened last.
    browser: Option<BrowsePage>,
    loading: Option<LoadingGame>,
    /// Whether a run was training at the last look.
    was_training: bool,
    /// Whether the worlds page is the first thing that a person sees of the program.
    pub greets: bool,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    home: Option<PathBuf>,
    notify: Notify,
}

impl Navigation {
    pub fn new(home: Option<PathBuf>, notify: Notify) -> Self {
        Self {
            screen: Screen::Game,
            parked: None,
            previous_recording: None,
            page: None,
            picker: None,
            cells: None,
            cells_first: false,
            film: None,
            browser: None,
            loading: None,
            was_training: false,
            greets: false,
            home,
            notify,
        }
    }

    /// Whether a page covers the game.
    pub fn is_on_page(&self) -> bool {
        self.screen.resume().is_some()
    }

    /// Whether leaving the page that covers the game resumes it.
    pub fn resumes(&self) -> bool {
        self.screen.resume() == Some(true)
    }

    pub fn is_training(&self) -> bool {
        self.page.as_ref().is_some_and(NewWorldPage::is_training)
    }

    /// The name of the run that is training, and the part of its steps that is done, in percent.
    pub fn training_state(&self) -> Option<(String, usize)> {
        self.page.as_ref().and_then(NewWorldPage::training_state)
    }

    /// What to say about a training run that has ended since the last call.
    pub fn take_ended_training(&mut self) -> Option<String> {
        let trains = self.is_training();
        let was_training = std::mem::replace(&mut self.was_training, trains);
        let page = self.page.as_ref().filter(|_| was_training);
        page.and_then(NewWorldPage::training_ended)
    }

    /// The name of the main game's world, of which `current` may not be the one.
    pub fn title<'a>(&'a self, current: &'a GameSession) -> &'a str {
        let parked = self.parked.as_ref().map(|parked| &parked.session);
        &parked.unwrap_or(current).world.name
    }

    /// Opens the "New world" page.
    pub fn open_page(&mut self, resume: bool) -> &mut NewWorldPage {
        self.screen = Screen::NewWorld { resume };
        let page = self
            .page
            .get_or_insert_with(|| NewWorldPage::new(self.home.clone(), self.notify.clone()));
        page.open();
        page
    }

    /// Draws the "New world" page.
    pub fn page_ui(&mut self, ui: &mut Ui) -> Option<PageRequest> {
        let page = self.page.as_mut()?;
        let dropped = ui.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            page.drop_path(file.path());
        }
        CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| page.ui(ui))
            .inner
    }

    /// Opens the worlds page.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_picker(&mut self, current: &GameSession, resume: bool) -> Result<()> {
        self.screen = Screen::Worlds { resume };
        let playing = match &current.origin {
            _ if self.cells_first => CurrentWorld::Nothing,
            Some(origin) => CurrentWorld::World(origin.folder.clone()),
            None => CurrentWorld::Simulator(current.world.name.clone()),
        };
        self.picker
            .get_or_insert_with(|| WorldPicker::new(self.home.clone(), self.notify.clone()))
            .open(playing)
    }

    /// Makes the worlds page the first thing that a person sees of the program.
    pub fn greet(&mut self) {
        self.greets = true;
        self.picker.iter_mut().for_each(|picker| picker.greet(true));
    }

    /// Draws the worlds page.
    pub fn picker_ui(&mut self, ui: &mut Ui) -> Option<PickerChoice> {
        let picker = self.picker.as_mut()?;
        CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| picker.ui(ui))
            .inner
    }

    /// Moves the focus to a card of the worlds page, so that keys continue from there.
    pub fn focus_picker(&mut self) {
        self.picker.iter_mut().for_each(WorldPicker::take_focus);
    }

    /// Opens the page of the transport network in a checkpoint folder.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_cells(&mut self, folder: &Path, resume: bool) -> Result<()> {
        let page = TransportPage::open(folder, self.home.clone(), self.notify.clone())?;
        self.cells = Some(page);
        self.screen = Screen::Cells { resume };
        Ok(())
    }

    /// The name of the transport network that was opened last.
    pub fn cells_name(&self) -> String {
        self.cells
            .as_ref()
            .map(TransportPage::name)
            .unwrap_or_default()
    }

    /// Draws the page of a transport network.
    pub fn cells_ui(&mut self, ui: &mut Ui) -> Option<PageEnd> {
        let page = self.cells.as_mut()?;
        CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| page.ui(ui, !self.cells_first))
            .inner
    }

    /// Handles a key on the page of a transport network; returns whether it did anything.
    pub fn cells_key(&mut self, key: Key) -> bool {
        self.cells.as_mut().is_some_and(|page| page.key(key))
    }

    /// Takes what the page's thread has made; returns files that were written, or why not.
    pub fn poll_cells(&mut self) -> Vec<Result<PathBuf>> {
        let polled = self.cells.as_mut().map(TransportPage::poll);
        polled.unwrap_or_default()
    }

    /// Opens the page that makes clips of a world; `picture` is that of the game. The clips that were made
    /// last are still there.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_film(
        &mut self,
        origin: &CheckpointOrigin,
        picture: Option<Arc<[u8]>>,
        resume: bool,
    ) -> Result<()> {
        match self.film.as_mut().filter(|page| page.origin() == origin) {
            Some(page) => page.reopen(picture),
            None => {
                let (home, notify) = (self.home.clone(), self.notify.clone());
                self.film = Some(FilmPage::open(origin.clone(), picture, home, notify)?);
            }
        }
        self.screen = Screen::Film { resume };
        Ok(())
    }

    /// Draws the page that makes clips.
    pub fn film_ui(&mut self, ui: &mut Ui) -> Option<FilmEnd> {
        let page = self.film.as_mut()?;
        CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| page.ui(ui))
            .inner
    }

    /// Handles a key on the page that makes clips; returns whether it did anything.
    pub fn film_key(&mut self, key: Key) -> bool {
        self.film.as_mut().is_some_and(|page| page.key(key))
    }

    /// Takes what the page's thread has made; returns files that were written, or why not.
    pub fn poll_film(&mut self) -> Vec<Result<PathBuf>> {
        let polled = self.film.as_mut().map(FilmPage::poll);
        polled.unwrap_or_default()
    }

    /// Opens the page of a dataset.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_browser(&mut self, folder: &Path, resume: bool) -> Result<()> {
        self.browser = Some(BrowsePage::open(folder, self.notify.clone())?);
        self.screen = Screen::Browse { resume };
        Ok(())
    }

    /// The name of the dataset that was opened last.
    pub fn browser_name(&self) -> String {
        let name = self.browser.as_ref().map(BrowsePage::name);
        name.unwrap_or_default()
    }

    /// Draws the page of a dataset; returns whether it is to be closed.
    pub fn browser_ui(&mut self, ui: &mut Ui) -> bool {
        let Some(page) = self.browser.as_mut() else {
            return true;
        };
        CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| page.ui(ui))
            .inner
    }

    /// Handles a key on the page of a dataset; returns whether it did anything.
    pub fn browser_key(&mut self, key: Key) -> bool {
        self.browser.as_mut().is_some_and(|page| page.key(key))
    }

    /// Takes what the page's thread has done; returns what to tell.
    pub fn poll_browser(&mut self) -> Vec<Told> {
        let polled = self.browser.as_mut().map(BrowsePage::poll);
        polled.unwrap_or_default()
    }

    /// Prepares a world to go on from a clip, in the background.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn load_clip(&mut self, clip: GivenClip, world: CheckpointOrigin) -> Result<()> {
        let task = BackgroundTask::start(self.notify.clone(), move |_| {
            PlayableWorld::learned_from_clip(world, &clip)
        });
        self.loading = Some(LoadingGame::Start(task?));
        Ok(())
    }

    /// Loads a checkpoint folder in the background, on the same device as the current world.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn load_world(&mut self, folder: &Path, current: Option<&CheckpointOrigin>) -> Result<()> {
        let device = current.map_or_else(DeviceOptions::default, |origin| origin.device);
        let folder = folder.to_path_buf();
        let task = BackgroundTask::start(self.notify.clone(), move |_| {
            PlayableWorld::learned(&folder, device, None)
        });
        self.loading = Some(LoadingGame::World(task?));
        Ok(())
    }

    /// Puts the world in a file among the saved ones and loads it, in the background.
    ///
    /// # Errors
    /// Returns an error if there is no data folder or no thread can be started.
    pub fn load_world_file(
        &mut self,
        file: &Path,
        current: Option<&CheckpointOrigin>,
    ) -> Result<()> {
        let device = current.map_or_else(DeviceOptions::default, |origin| origin.device);
        let (file, paths) = (file.to_path_buf(), UserPaths::resolve(self.home.clone())?);
        let task = BackgroundTask::start(self.notify.clone(), move |_| {
            PlayableWorld::opened(world_file::import(&file, &paths)?, device)
        });
        self.loading = Some(LoadingGame::World(task?));
        Ok(())
    }

    /// Loads a starting scene for a world in the background.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn load_start(&mut self, file: &Path, world: CheckpointOrigin) -> Result<()> {
        let file = file.to_path_buf();
        let task = BackgroundTask::start(self.notify.clone(), move |_| {
            PlayableWorld::learned_from_file(world, &file)
        });
        self.loading = Some(LoadingGame::Start(task?));
        Ok(())
    }

    /// Takes results from the background into the pages.
    ///
    /// # Errors
    /// Returns an error if the worlds cannot be listed.
    pub fn poll_pages(&mut self) -> Result<()> {
        self.page.iter_mut().for_each(NewWorldPage::poll);
        let failed = self.picker.as_mut().and_then(WorldPicker::poll);
        failed.map_or(Ok(()), Err)
    }

    /// Takes the loaded game, unless the user has moved to another page meanwhile.
    pub fn take_loaded(&mut self) -> Option<Result<LoadedGame>> {
        let (task, loaded): (_, fn(PlayableWorld) -> LoadedGame) = match self.loading.as_ref()? {
            LoadingGame::World(task) => (task, LoadedGame::World),
            LoadingGame::Start(task) => (task, LoadedGame::Start),
        };
        let read = task.take()?;
        self.loading = None;
        let is_new_world = matches!(self.screen, Screen::NewWorld { .. });
        let takes = self.screen == Screen::Game || (self.is_on_page() && !is_new_world);
        takes.then(|| read.map(loaded))
    }

    /// What a dropped file or folder is for.
    ///
    /// # Errors
    /// Returns why it cannot be opened here.
    pub fn dropped(&self, path: &Path, learned: bool) -> std::result::Result<DroppedFile, String> {
        let folder = path.is_dir();
        match self.screen {
            Screen::Recording(..) | Screen::TryOut => {
                Err("Go back to the New world page before opening another world.".into())
            }
            _ if is_world_file(path) && !folder => Ok(DroppedFile::WorldFile),
            _ if self.is_on_page() && !folder => {
                Err("Drop a checkpoint folder or a .driftless file here.".into())
            }
            _ if folder && path.join(CONFIG).is_file() => Ok(DroppedFile::World),
            _ if folder && path.join(dataset::INFO).is_file() => Ok(DroppedFile::Dataset),
            _ if folder => {
                let what = format!(
                    "not a world, expected a checkpoint folder with {CONFIG}, or a dataset with {}",
                    dataset::INFO
                );
                Err(Error::invalid(path, what).to_string())
            }
            _ => Ok(match path.extension().and_then(|end| end.to_str()) {
                Some(EPISODE_EXTENSION) if learned => DroppedFile::Episode,
                Some("txt") => DroppedFile::Actions,
                _ => DroppedFile::StartingScene,
            }),
        }
    }

    /// Draws the banner above a game played from the page.
    pub fn banner(&mut self, ui: &mut Ui, frame: Option<&Frame>) -> Option<banner::BannerAction> {
        match &mut self.screen {
            Screen::Recording(_, episodes) => {
                let sequence = frame.map_or(0, |frame| {
                    let first = frame.sequence - frame.number.min(frame.sequence);
                    episodes.insert(first);
                    frame.sequence
                });
                banner::recording(ui, sequence, episodes.len())
            }
            Screen::TryOut => {
                let saved = self.page.as_ref().and_then(NewWorldPage::saved);
                banner::try_out(ui, saved)
            }
            _ => None,
        }
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.page.iter_mut().for_each(NewWorldPage::drop_textures);
        self.picker.iter_mut().for_each(WorldPicker::drop_textures);
        self.cells.iter_mut().for_each(TransportPage::drop_textures);
        self.film.iter_mut().for_each(FilmPage::drop_textures);
        self.browser.iter_mut().for_each(BrowsePage::drop_textures);
    }
}
