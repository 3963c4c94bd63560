//! The window's shortcuts: what each is called, and its keys.

use eframe::egui::Key;

/// A shortcut of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Pause or resume.
    Pause,
    /// Pause and generate one frame.
    Step,
    /// Let the world play itself.
    Autoplay,
    /// Restart the current starting scene.
    Reset,
    /// Restart from the next starting scene.
    NextScene,
    /// Show or hide the performance overlay.
    Overlay,
    /// Show or hide the denoising strip.
    Denoising,
    /// Show or hide the inspection panel.
    Inspect,
    /// Show or hide the Tuning panel.
    Tuning,
    /// Show or hide the timeline.
    Timeline,
    /// Pause and go one frame back.
    PreviousFrame,
    /// Go one frame forward again.
    NextFrame,
    /// Start or stop the comparison with the ground truth.
    Compare,
    /// Show or hide the difference in a comparison.
    Difference,
    /// Show or hide the Plots panel.
    Plots,
    /// Save the frames from the last restart to this one.
    Save,
    /// Save the last ten seconds.
    SaveRecent,
    /// Save the picture as it is now.
    Screenshot,
    /// Copy the picture to the clipboard.
    CopyPicture,
    /// Save the world as one file.
    Share,
    /// Save the world and the game since the last restart as one file.
    ShareGame,
    /// Open the folder of saved files.
    OpenFolder,
    /// Save this moment in the quick slot.
    QuickSave,
    /// Go back to the moment in the quick slot and play on.
    QuickLoad,
    /// Undo the last change of a setting or the deletion of a branch.
    Undo,
    /// Open a file or a world by its path.
    OpenFile,
    /// Open the worlds page.
    Worlds,
    /// Open the "New world" page.
    NewWorld,
    /// Open the page that makes clips from words.
    Film,
    /// Capture or release the mouse.
    Mouse,
    /// Show the instruments, or the game alone.
    Lab,
    /// Open the list of commands.
    Commands,
    /// Open the Settings page.
    Settings,
    /// Toggle full screen.
    FullScreen,
    /// Open the Help page.
    Help,
    /// Say what program this is.
    About,
    /// Close the window.
    Quit,
}

impl Shortcut {
    /// Every shortcut, in display order.
    pub const ALL: [Self; 37] = [
        Self::Pause,
        Self::Step,
        Self::Autoplay,
        Self::Reset,
        Self::NextScene,
        Self::Overlay,
        Self::Denoising,
        Self::Inspect,
        Self::Tuning,
        Self::Timeline,
        Self::PreviousFrame,
        Self::NextFrame,
        Self::Compare,
        Self::Difference,
        Self::Plots,
        Self::Save,
        Self::SaveRecent,
        Self::Screenshot,
        Self::CopyPicture,
        Self::Share,
        Self::ShareGame,
        Self::OpenFolder,
        Self::QuickSave,
        Self::QuickLoad,
        Self::Undo,
        Self::OpenFile,
        Self::Worlds,
        Self::NewWorld,
        Self::Film,
        Self::Mouse,
        Self::Lab,
        Self::Commands,
        Self::Settings,
        Self::FullScreen,
        Self::Help,
        Self::About,
        Self::Quit,
    ];

    /// Whether a held key does it again and again: stepping through frames, but not toggling.
    pub fn repeats(self) -> bool {
        matches!(self, Self::PreviousFrame | Self::NextFrame | Self::Step)
    }

    /// A short label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Step => "Single step",
            Self::Autoplay => "Let it play",
            Self::Reset => "Restart scene",
            Self::NextScene => "Next scene",
            Self::Overlay => "Performance overlay",
            Self::Denoising => "Denoising",
            Self::Inspect => "Inspect",
            Self::Tuning => "Tuning",
            Self::Timeline => "Timeline",
            Self::PreviousFrame => "Previous frame",
            Self::NextFrame => "Next frame",
            Self::Compare => "Compare with ground truth",
            Self::Difference => "Difference",
            Self::Plots => "Plots",
            Self::Save => "Save…",
            Self::SaveRecent => "Save the last 10 seconds…",
            Self::Screenshot => "Screenshot",
            Self::CopyPicture => "Copy picture",
            Self::Share => "Share this world…",
            Self::ShareGame => "Share this world and game…",
            Self::OpenFolder => "Open the folder of saved files",
            Self::QuickSave => "Quick save",
            Self::QuickLoad => "Quick load",
            Self::Undo => "Undo",
            Self::OpenFile => "Open…",
            Self::Worlds => "Worlds",
            Self::NewWorld => "New world",
            Self::Film => "Film",
            Self::Mouse => "Mouse",
            Self::Lab => "Lab",
            Self::Commands => "Commands…",
            Self::Settings => "Settings",
            Self::FullScreen => "Full screen",
            Self::Help => "Help",
            Self::About => "About Driftless",
            Self::Quit => "Quit",
        }
    }

    /// Words that find it in the list of commands, besides its label and hint.
    pub fn found_by(self) -> &'static str {
        match self {
            Self::Worlds => "cells drugs transport network",
            _ => "",
        }
    }

    /// A one-line description.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Pause => "Pause / resume.",
            Self::Step => "Pause and generate one frame.",
            Self::Autoplay => "Watch it play by itself; any of its keys takes over.",
            Self::Reset => "Restart from this starting scene.",
            Self::NextScene => "Restart from next starting scene.",
            Self::Overlay => "Show or hide the performance overlay.",
            Self::Denoising => "Show or hide the denoising steps of a frame.",
            Self::Inspect => "Show or hide the model's latent and attention.",
            Self::Tuning => "Show or hide the Tuning panel.",
            Self::Timeline => "Show or hide the timeline, to rewind and branch.",
            Self::PreviousFrame => "Pause and go back one frame, restored exactly.",
            Self::NextFrame => "Go forward one frame.",
            Self::Compare => "Compare predicted frames with the simulator's.",
            Self::Difference => "Show or hide the difference in a comparison.",
            Self::Plots => "Show or hide plots of frame time, PSNR, drift and more.",
            Self::Save => "Save the frames since the last restart.",
            Self::SaveRecent => "Save the last 10 seconds as a GIF, video or images.",
            Self::Screenshot => "Save the picture as a PNG.",
            Self::CopyPicture => "Copy the picture to the clipboard.",
            Self::Share => "Save this world as one file that others can open.",
            Self::ShareGame => "Save one file in which others see this game and play on.",
            Self::OpenFolder => "Show the saved files in the file manager.",
            Self::QuickSave => "Save this moment, to go back to it.",
            Self::QuickLoad => "Go back to the saved moment and play on.",
            Self::Undo => "Undo a setting, or bring back a deleted branch.",
            Self::OpenFile => "Open a world, recording, image or actions by path.",
            Self::Worlds => "Choose another world to play.",
            Self::NewWorld => "Create a world: record, train, play, save.",
            Self::Film => "Make a clip from words, and play on from it.",
            Self::Mouse => "Turn or steer with the mouse; Esc releases it.",
            Self::Lab => "Show or hide the instruments.",
            Self::Commands => "Find any command by its name.",
            Self::Settings => "Theme, scale, keys, gamepad and mouse.",
            Self::FullScreen => "Enter or leave full screen.",
            Self::Help => "Show or hide this page.",
            Self::About => "Version, licence and where files are.",
            Self::Quit => "Close the window.",
        }
    }

    /// Whether the bar has a button for it in the lab only.
    pub fn is_instrument(self) -> bool {
        matches!(
            self,
            Self::Step
                | Self::Overlay
                | Self::Denoising
                | Self::Inspect
                | Self::Tuning
                | Self::Timeline
                | Self::Compare
                | Self::Plots
        )
    }

    /// Whether the control bar has a button for it.
    pub fn has_button(self) -> bool {
        self.is_instrument()
            || matches!(
                self,
                Self::Pause
                    | Self::Reset
                    | Self::NextScene
                    | Self::Worlds
                    | Self::NewWorld
                    | Self::Lab
            )
    }

    /// The key that does it together with Ctrl, on macOS with Command.
    pub fn control_key(self) -> Option<Key> {
        match self {
            Self::Commands => Some(Key::K),
            Self::OpenFile => Some(Key::O),
            Self::CopyPicture => Some(Key::C),
            Self::Undo => Some(Key::Z),
            Self::Quit => Some(Key::Q),
            _ => None,
        }
    }

    /// Its default keys, each used unless the world uses it.
    pub(super) fn default_keys(self) -> &'static [Key] {
        match self {
            Self::Pause => &[Key::P, Key::Space],
            Self::Step => &[Key::N, Key::Period],
            Self::Autoplay => &[Key::B],
            Self::Reset => &[Key::R],
            Self::NextScene => &[Key::C],
            Self::Overlay => &[Key::H],
            Self::Denoising => &[Key::V],
            Self::Inspect => &[Key::I],
            Self::Tuning => &[Key::T],
            Self::Timeline => &[Key::L],
            Self::PreviousFrame => &[Key::OpenBracket, Key::Backspace],
            Self::NextFrame => &[Key::CloseBracket],
            Self::Compare => &[Key::G],
            Self::Difference => &[Key::J],
            Self::Plots => &[Key::K],
            Self::Save => &[Key::F5],
            Self::SaveRecent => &[Key::F8],
            Self::Screenshot => &[Key::F12],
            Self::QuickSave => &[Key::F6],
            Self::QuickLoad => &[Key::F7],
            Self::Lab => &[Key::F9],
            Self::Worlds => &[Key::O, Key::F3],
            Self::NewWorld => &[Key::M, Key::F2],
            Self::Film => &[Key::F],
            Self::Mouse => &[Key::F4],
            Self::Settings => &[Key::F10, Key::Comma],
            Self::FullScreen => &[Key::F11],
            Self::Help => &[Key::F1],
            Self::CopyPicture
            | Self::Share
            | Self::ShareGame
            | Self::OpenFolder
            | Self::Undo
            | Self::OpenFile
            | Self::Commands
            | Self::About
            | Self::Quit => &[],
        }
    }
}
