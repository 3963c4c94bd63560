//! The game on the screen and what belongs to it alone: analysis, input, saving, held keys, undo.

use std::sync::Arc;
use std::time::Instant;

use eframe::egui::{Context, Event, Key};

use driftless_engine::{GpuSource, StageTimes};
use driftless_sim::{Frame, History, LinkState, Message, Notice, Session, TimelineCommand};

use super::analysis::{Analysis, TimelineRequest};
use super::changes::{Change, Changes};
use super::environment::Environment;
use super::game::{EndedWorld, GameState, WorldThread};
use super::inputs::{GamepadChange, Inputs};
use super::preferences::UserPreferences;
use super::saver::Saver;
use super::transport::Transport;
use crate::app::config::UserConfig;
use crate::app::keys::Shortcut;
use crate::app::save_dialog::SaveSpan;
use crate::app::session::GameSession;
use crate::app::tuning::TuningSettings;
use crate::app::waker::Waker;
use crate::workspace::PlayableWorld;

/// A game to switch to.
pub(super) struct NextGame {
    pub session: GameSession,
    /// The recording that it goes on with.
    pub recording: Option<Session>,
    /// What it goes on from; `None` starts anew.
    pub history: Option<Arc<History>>,
    pub paused: bool,
}

impl From<GameSession> for NextGame {
    fn from(session: GameSession) -> Self {
        Self {
            session,
            recording: None,
            history: None,
            paused: false,
        }
    }
}

/// The current game.
pub(super) struct Play {
    pub game: GameState,
    pub analysis: Analysis,
    pub inputs: Inputs,
    pub saver: Saver,
    transport: Transport,
    /// What can be undone.
    changes: Changes,
}

impl Play {
    pub fn new(session: GameSession, waker: Waker) -> Self {
        Self {
            game: GameState::new(session, waker),
            analysis: Analysis::default(),
            inputs: Inputs::default(),
            saver: Saver::default(),
            transport: Transport::default(),
            changes: Changes::default(),
        }
    }

    /// Moves to a new window with a new device; textures on the old one are lost.
    pub fn attach(&mut self, env: &Environment) {
        let source = &mut self.game.session.sim.gpu_source;
        if let GpuSource::Shared(_) = source {
            *source = env.device.gpu_source.clone();
        }
        self.game.drop_textures();
        self.analysis.drop_textures();
        self.release_all_input(&env.device.context);
    }

    /// Applies the settings that depend on the current world.
    pub fn apply_bindings(&mut self, preferences: &UserPreferences) {
        let session = &mut self.game.session;
        session.rebind(&preferences.bindings(&session.world.name));
        let config = preferences.config();
        session.tuning.set_scaling(config.scaling);
        self.inputs
            .apply_bindings(&session.keys, &config.gamepad.buttons);
    }

    /// Closes the welcome card; the world that waited behind it plays.
    pub fn dismiss_welcome(&mut self, preferences: &mut UserPreferences) {
        if preferences.dismiss_welcome(&self.game.session.world.name) {
            self.game.resume();
        }
    }

    /// Says that a shared game is played again, if one is: no card covers it.
    pub fn announce_shared(&self, env: &mut Environment) -> bool {
        let Some(frames) = self.game.session.shared_frames() else {
            return false;
        };
        env.preferences.welcome = false;
        env.notices.info(format!(
            "A shared game of {frames} frames. Any key of the game takes over."
        ));
        true
    }

    /// Starts a new world-model thread, from `history` if given.
    pub fn restart(&mut self, history: Option<Arc<History>>) {
        if history.is_none() {
            self.analysis.restart();
        }
        self.analysis.clear_comparison();
        self.game.start(history, self.analysis.commands());
    }

    /// Continues on the CPU from where the device failed.
    pub fn continue_on_cpu(&mut self) {
        let history = self.game.leave_device();
        self.restart(history);
    }

    /// Switches to another game; returns the previous session and what remains of its thread.
    pub fn switch(&mut self, to: NextGame, env: &Environment) -> (GameSession, EndedWorld) {
        self.saver.leave(&self.game);
        let before = self.game.replace(to.session, to.recording, to.paused);
        env.device.install_presenter(self.game.session.world.image);
        self.game.session.sim.gpu_source = env.device.gpu_source.clone();
        self.release_all_input(&env.device.context);
        self.apply_bindings(&env.preferences);
        self.analysis.reset();
        self.transport.leave_world();
        self.changes.leave_world();
        self.restart(to.history);
        before
    }

    /// Restarts the current world from the starting scene of `game`, keeping settings and recording.
    pub fn restart_with_scene(&mut self, game: PlayableWorld) {
        self.game.replace_scene(game);
        self.restart(None);
    }

    /// Ends the game when the window closes.
    pub fn leave(&mut self) -> EndedWorld {
        self.saver.abort();
        self.game.end()
    }

    /// Takes what has arrived from the world-model thread and from background tasks.
    pub fn poll(&mut self, env: &mut Environment) {
        if matches!(self.game.world, WorldThread::NotStarted) && env.device.drawn {
            self.restart(None);
        }
        self.poll_world(env);
        if let Err(why) = self.analysis.poll_episode(&self.game) {
            env.notices.error(&why);
        }
        let pixels_per_point = env.device.context.pixels_per_point();
        let saved = self
            .analysis
            .poll_screenshot(pixels_per_point, || env.saved_folder());
        env.report_saved(saved);
        env.report_saved(self.saver.poll_shared());
    }

    fn poll_world(&mut self, env: &mut Environment) {
        let (frames, messages) = self.game.receive();
        self.game.scoreboard.take(&frames);
        self.show_newest(frames, &env.device.context);
        for message in messages {
            self.take_message(message, env);
        }
    }

    fn take_message(&mut self, message: Message, env: &mut Environment) {
        let (game, saver) = (&mut self.game, &mut self.saver);
        match message {
            Message::Started { engine } => game.engine = engine,
            Message::Notice(Notice::EpisodeEnded) => {
                game.scoreboard.episode_ended(Instant::now());
            }
            Message::Notice(notice) => {
                if notice == Notice::AutoplayStopped {
                    game.autoplay = false;
                }
                env.notices.info(notice.to_string());
            }
            Message::ParamsRejected { reason, active } => {
                game.accept_params(active);
                env.notices.error(&reason);
            }
            Message::ParamsChanged(params) => game.accept_params(params),
            Message::Link(state) => {
                if state == LinkState::Up {
                    env.notices.info("The link is back; the game goes on.");
                }
                game.set_link(state);
            }
            Message::Branches(branches) => self.analysis.timeline.set_branches(branches),
            Message::StoredImages { branch, images } => {
                let size = game.session.world.image;
                let timeline = &mut self.analysis.timeline;
                timeline.add_thumbnails(&env.device.context, branch, images, size);
            }
            Message::RenderProgress {
                request,
                done,
                total,
            } => saver.note_progress(request, done, total),
            Message::RenderedEpisode { request, episode } => {
                saver.take_episode(request, episode, SaveSpan::Episode, game, env);
            }
            Message::RecentFrames { request, episode } => {
                saver.take_recent(request, episode, game, env);
            }
            Message::Game {
                request,
                game: played,
            } => {
                saver.take_game(request, played, game, env);
            }
            Message::RenderCancelled(request) => saver.frames_cancelled(request, game),
            Message::Failed {
                reason,
                device_failed,
            } => {
                game.fail(reason, device_failed);
                if saver.is_rendering() {
                    saver.end(game);
                }
            }
        }
    }

    /// Shows the newest frame, and measures the skipped ones.
    fn show_newest(&mut self, frames: Vec<Frame>, context: &Context) {
        let (learned, size) = (self.game.session.learned, self.game.session.world.image);
        let mut newest: Option<Frame> = None;
        for mut frame in frames {
            // A key change first shown by a skipped frame becomes visible with the next one.
            if let Some(skipped) = newest.take() {
                frame.timing.input_at = skipped.timing.input_at.or(frame.timing.input_at);
                self.analysis.record(&skipped, None, false, learned);
            }
            self.inputs.frame_arrived(&frame, &mut self.game);
            newest = Some(frame);
        }
        if let Some(frame) = newest {
            self.analysis.show(&frame, context, size);
            let latency = frame
                .timing
                .input_at
                .map(|key| key.elapsed().as_secs_f64() * 1000.0);
            self.analysis.record(&frame, latency, true, learned);
            self.game.show(frame);
        }
    }

    /// Takes a change of the gamepads; returns the shortcuts that were pressed.
    pub fn take_gamepads(
        &mut self,
        change: GamepadChange,
        takes_input: bool,
        preferences: &mut UserPreferences,
    ) -> Vec<Shortcut> {
        let pressed = self
            .inputs
            .take_gamepads(change, &mut self.game, takes_input);
        let Some(pressed) = pressed else {
            return Vec::new();
        };
        if pressed.plays {
            self.dismiss_welcome(preferences);
        }
        let mut shortcuts = pressed.shortcuts;
        if pressed.start && preferences.welcome {
            self.dismiss_welcome(preferences);
        } else if pressed.start {
            shortcuts.push(Shortcut::Pause);
        }
        if pressed.select {
            shortcuts.push(Shortcut::Reset);
        }
        shortcuts
    }

    /// Handles a mouse event while the game has the mouse; returns whether it is consumed.
    pub fn mouse_event(&mut self, event: &Event, sensitivity: f32) -> bool {
        self.inputs.mouse_event(event, sensitivity, &mut self.game)
    }

    /// Releases the mouse; returns whether the game had it.
    pub fn release_mouse(&mut self, context: &Context) -> bool {
        self.inputs.release_mouse(context, &mut self.game)
    }

    /// Releases every held key and the mouse.
    pub fn release_all_input(&mut self, context: &Context) {
        self.inputs.release_all(context, &mut self.game);
    }

    /// Forgets every key and the mouse: without the focus, the window sees no releases.
    pub fn lose_focus(&mut self, context: &Context) {
        self.transport.release_keys(&mut self.game);
        self.release_all_input(context);
        self.inputs.forget_keys();
    }

    /// Notes that the key of a shortcut is down.
    pub fn hold_shortcut(&mut self, shortcut: Shortcut, now: Instant, context: &Context) {
        self.transport.press(shortcut, now, context);
    }

    /// Releases a key; returns whether the world held it.
    pub fn release_key(&mut self, key: Key, now: Instant) -> bool {
        let shortcut = self.game.session.keys.shortcut(key);
        if shortcut.is_some_and(Shortcut::repeats) {
            self.transport.release_keys(&mut self.game);
        }
        self.inputs.release_key(key);
        self.game.release(key, now)
    }

    /// Goes through the frames while a key of the timeline is held.
    pub fn run_held_keys(&mut self, now: Instant, context: &Context) {
        let (game, analysis) = (&mut self.game, &mut self.analysis);
        self.transport.run(now, game, analysis, context);
    }

    /// What to show while a held key goes through the frames.
    pub fn transport_label(&self) -> Option<&'static str> {
        self.transport.label()
    }

    /// Saves the current moment in the quick slot.
    pub fn quick_save(&mut self, env: &mut Environment) {
        if let Some(what) = self.transport.save_moment(&self.game) {
            env.notices.info(what);
        }
    }

    /// Goes back to the moment in the quick slot.
    pub fn quick_load(&mut self, env: &mut Environment) {
        let (game, analysis) = (&mut self.game, &mut self.analysis);
        if let Some(what) = self.transport.load_moment(game, analysis) {
            env.notices.info(what);
        }
    }

    /// Asks for frames to be saved, as `request` says, unless a card is open.
    pub fn save(&mut self, env: &Environment, request: impl FnOnce(&mut Saver, &mut GameState)) {
        if self.saver.can_request(&self.game) {
            self.release_all_input(&env.device.context);
            request(&mut self.saver, &mut self.game);
        }
    }

    /// Does what the timeline asks for.
    pub fn handle_timeline(&mut self, asked: TimelineRequest, env: &mut Environment) {
        match asked {
            TimelineRequest::Save => self.save(env, Saver::save),
            TimelineRequest::SaveFrames { end, frames } => {
                self.save(env, |saver, game| saver.save_frames(end, frames, game));
            }
            TimelineRequest::BranchDeleted => {
                self.changes.note(Change::Branch, Instant::now());
                let keys = self.game.session.keys.shortcut_text(Shortcut::Undo);
                env.notices
                    .info(format!("The branch is deleted. {keys} brings it back."));
            }
        }
    }

    /// Lets the world play itself, or takes over.
    pub fn toggle_autoplay(&mut self, preferences: &mut UserPreferences) {
        self.dismiss_welcome(preferences);
        self.game.toggle_autoplay();
    }

    /// Goes to the lab or back to the game alone, whose panels are closed.
    pub fn toggle_lab(&mut self, preferences: &mut UserPreferences) {
        if !preferences.toggle_lab() {
            self.analysis.close_panels(&self.game);
        }
    }

    /// Lets the mouse play, or takes it back.
    pub fn toggle_mouse(&mut self, env: &mut Environment) {
        let context = &env.device.context;
        if let Some(hint) = self.inputs.toggle_mouse(context, &mut self.game) {
            self.dismiss_welcome(&mut env.preferences);
            env.notices.info(hint);
        }
    }

    /// What a frame costs, for the Tuning panel.
    pub fn frame_cost(&self) -> Option<std::time::Duration> {
        self.game.stats.times().map(StageTimes::total)
    }

    /// Notes that settings of the Tuning panel have changed from `before`, and tells the thread.
    pub fn tuning_changed(&mut self, before: TuningSettings) {
        let settings = &self.game.session.tuning.settings;
        if *settings != before {
            let change = Change::Tuning(Box::new(before));
            self.changes.note(change, Instant::now());
        }
        for command in settings.commands_since(&before) {
            self.game.send(command);
        }
    }

    /// Applies the user's settings, which have changed from `before`.
    pub fn config_changed(&mut self, before: UserConfig, env: &mut Environment) {
        env.preferences.apply_changes(&env.device.context, &before);
        self.apply_bindings(&env.preferences);
        let change = Change::Config(Box::new(before));
        self.changes.note(change, Instant::now());
    }

    /// Undoes the last change.
    pub fn undo(&mut self, env: &mut Environment) {
        let done = match self.changes.pop() {
            Some(Change::Tuning(before)) => {
                let tuning = &mut self.game.session.tuning;
                let now = std::mem::replace(&mut tuning.settings, *before);
                for command in before.commands_since(&now) {
                    self.game.send(command);
                }
                "The last change in Tuning is undone."
            }
            Some(Change::Config(before)) => {
                env.preferences.restore(*before, &env.device.context);
                self.apply_bindings(&env.preferences);
                "The last change in Settings is undone."
            }
            Some(Change::Branch) => {
                self.game.send(TimelineCommand::RestoreBranch);
                "The deleted branch is back."
            }
            None => "Nothing to undo.",
        };
        env.notices.info(done);
    }
}
