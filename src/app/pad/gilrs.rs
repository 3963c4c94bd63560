//! Pads on Windows and macOS, through `gilrs`.

use gilrs::{Axis, Button as Own, Gilrs};

use super::{Button, Raw};

const BUTTONS: [(Own, Button); 10] = [
    (Own::South, Button::South),
    (Own::East, Button::East),
    (Own::West, Button::West),
    (Own::North, Button::North),
    (Own::LeftTrigger, Button::LeftShoulder),
    (Own::RightTrigger, Button::RightShoulder),
    (Own::LeftTrigger2, Button::LeftTrigger),
    (Own::RightTrigger2, Button::RightTrigger),
    (Own::Start, Button::Start),
    (Own::Select, Button::Select),
];

/// The system's pads.
pub struct Source(Gilrs);

impl Source {
    /// None where the system offers no pads.
    pub fn open() -> Option<Self> {
        match Gilrs::new() {
            Ok(pads) => Some(Self(pads)),
            Err(error) => {
                tracing::warn!("gamepads are not read: {error}");
                None
            }
        }
    }

    /// Pads that come and go are events like the others.
    pub fn look(&mut self) {}

    /// The pads as they are now.
    pub fn read(&mut self) -> Vec<Raw> {
        while self.0.next_event().is_some() {}
        let pad = |(_, pad): (_, gilrs::Gamepad<'_>)| Raw {
            name: pad.name().to_owned(),
            buttons: BUTTONS
                .into_iter()
                .filter(|(own, _)| pad.is_pressed(*own))
                .map(|(_, button)| button)
                .collect(),
            cross: [
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
