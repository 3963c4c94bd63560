//! Gamepads on Windows and macOS, through `gilrs`.

use gilrs::{Axis, Button as GilrsButton, Gilrs};

use super::raw::{GamepadButton, RawGamepad};

const BUTTONS: [(GilrsButton, GamepadButton); 10] = [
    (GilrsButton::South, GamepadButton::South),
    (GilrsButton::East, GamepadButton::East),
    (GilrsButton::West, GamepadButton::West),
    (GilrsButton::North, GamepadButton::North),
    (GilrsButton::LeftTrigger, GamepadButton::LeftShoulder),
    (GilrsButton::RightTrigger, GamepadButton::RightShoulder),
    (GilrsButton::LeftTrigger2, GamepadButton::LeftTrigger),
    (GilrsButton::RightTrigger2, GamepadButton::RightTrigger),
    (GilrsButton::Start, GamepadButton::Start),
    (GilrsButton::Select, GamepadButton::Select),
];

/// The system's gamepads.
pub struct GamepadBackend(Gilrs);

impl GamepadBackend {
    /// Returns `None` if the system offers no gamepad access.
    pub fn open() -> Option<Self> {
        match Gilrs::new() {
            Ok(gamepads) => Some(Self(gamepads)),
            Err(error) => {
                tracing::warn!("cannot read gamepads: {error}");
                None
            }
        }
    }

    /// Nothing to do: connections arrive as events.
    pub fn scan(&mut self) {}

    /// Reads the gamepads' current state.
    pub fn read(&mut self) -> Vec<RawGamepad> {
        while self.0.next_event().is_some() {}
        let gamepad = |(_, gamepad): (_, gilrs::Gamepad<'_>)| RawGamepad {
            name: gamepad.name().to_owned(),
            buttons: BUTTONS
                .into_iter()
                .filter(|(button, _)| gamepad.is_pressed(*button))
                .map(|(_, button)| button)
                .collect(),
            dpad: [
                gamepad.is_pressed(GilrsButton::DPadUp),
                gamepad.is_pressed(GilrsButton::DPadDown),
                gamepad.is_pressed(GilrsButton::DPadLeft),
                gamepad.is_pressed(GilrsButton::DPadRight),
            ],
            stick: [
                gamepad.value(Axis::LeftStickX),
                gamepad.value(Axis::LeftStickY),
            ],
            right_stick: [
                gamepad.value(Axis::RightStickX),
                gamepad.value(Axis::RightStickY),
            ],
            triggers: [GilrsButton::LeftTrigger2, GilrsButton::RightTrigger2].map(|button| {
                let data = gamepad.button_data(button);
                data.map_or(0.0, gilrs::ev::state::ButtonData::value)
            }),
        };
        self.0.gamepads().map(gamepad).collect()
    }
}
