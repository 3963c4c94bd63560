//! Gamepads on Windows and macOS, through `gilrs`.

use gilrs::{Axis, Button as Own, Gilrs};

use super::{GamepadButton, RawGamepad};

const BUTTONS: [(Own, GamepadButton); 10] = [
    (Own::South, GamepadButton::South),
    (Own::East, GamepadButton::East),
    (Own::West, GamepadButton::West),
    (Own::North, GamepadButton::North),
    (Own::LeftTrigger, GamepadButton::LeftShoulder),
    (Own::RightTrigger, GamepadButton::RightShoulder),
    (Own::LeftTrigger2, GamepadButton::LeftTrigger),
    (Own::RightTrigger2, GamepadButton::RightTrigger),
    (Own::Start, GamepadButton::Start),
    (Own::Select, GamepadButton::Select),
];

/// The system's gamepads.
pub struct GamepadBackend(Gilrs);

impl GamepadBackend {
    /// Returns `None` if the system offers no gamepad access.
    pub fn open() -> Option<Self> {
        match Gilrs::new() {
            Ok(pads) => Some(Self(pads)),
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
        let pad = |(_, pad): (_, gilrs::Gamepad<'_>)| RawGamepad {
            name: pad.name().to_owned(),
            buttons: BUTTONS
                .into_iter()
                .filter(|(own, _)| pad.is_pressed(*own))
                .map(|(_, button)| button)
                .collect(),
            dpad: [
                pad.is_pressed(Own::DPadUp),
                pad.is_pressed(Own::DPadDown),
                pad.is_pressed(Own::DPadLeft),
                pad.is_pressed(Own::DPadRight),
            ],
            stick: [pad.value(Axis::LeftStickX), pad.value(Axis::LeftStickY)],
            triggers: [Own::LeftTrigger2, Own::RightTrigger2].map(|own| {
                let data = pad.button_data(own);
                data.map_or(0.0, gilrs::ev::state::ButtonData::value)
            }),
        };
        self.0.gamepads().map(pad).collect()
    }
}
