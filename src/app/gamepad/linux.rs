//! Gamepads on Linux, through evdev (`/dev/input/event*`).
//!
//! The kernel's drivers use the same button codes for every gamepad, so no mapping table is needed.
//! Systems let users read gamepads but not keyboards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

use evdev::{AbsoluteAxisCode as Axis, Device, KeyCode};

use super::raw::{GamepadButton, RawGamepad};

const FOLDER: &str = "/dev/input";
/// USB vendor whose driver swaps the west and north buttons.
const SWAPPED_VENDOR: u16 = 0x045e;

/// The open gamepads, by device file.
pub struct GamepadBackend {
    folder: PathBuf,
    gamepads: BTreeMap<PathBuf, OpenGamepad>,
    /// Device files that are not gamepads.
    not_gamepads: BTreeSet<PathBuf>,
}

struct OpenGamepad {
    device: Device,
    name: String,
    axes: BTreeSet<u16>,
    swapped: bool,
}

impl GamepadBackend {
    pub fn open() -> Option<Self> {
        Some(Self::in_folder(FOLDER.into()))
    }

    fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            gamepads: BTreeMap::new(),
            not_gamepads: BTreeSet::new(),
        }
    }

    /// Opens newly connected gamepads.
    pub fn scan(&mut self) {
        let entries = self.folder.read_dir().into_iter().flatten().flatten();
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("event")
        };
        let files: BTreeSet<_> = entries.map(|entry| entry.path()).filter(named).collect();
        self.not_gamepads.retain(|file| files.contains(file));
        for file in files {
            if self.not_gamepads.contains(&file) || self.gamepads.contains_key(&file) {
                continue;
            }
            match Device::open(&file) {
                Ok(device) => match OpenGamepad::new(device) {
                    Some(gamepad) => {
                        tracing::info!("gamepad {} in {}", gamepad.name, file.display());
                        self.gamepads.insert(file, gamepad);
                    }
                    None => {
                        self.not_gamepads.insert(file);
                    }
                },
                // Permission for a new gamepad's file may arrive a moment later.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                Err(_) => {
                    self.not_gamepads.insert(file);
                }
            }
        }
    }

    /// Reads the gamepads' current state and closes those that are gone.
    pub fn read(&mut self) -> Vec<RawGamepad> {
        let mut read = Vec::new();
        self.gamepads.retain(|_, gamepad| match gamepad.read() {
            Ok(raw) => {
                read.push(raw);
                true
            }
            Err(_) => false,
        });
        read
    }
}

impl OpenGamepad {
    fn new(device: Device) -> Option<Self> {
        let keys = device.supported_keys()?;
        if !keys.contains(KeyCode::BTN_SOUTH) {
            return None;
        }
        let axes = device.supported_absolute_axes();
        Some(Self {
            axes: axes
                .into_iter()
                .flat_map(|axes| axes.iter())
                .map(|axis| axis.0)
                .collect(),
            name: device.name().unwrap_or("gamepad").to_owned(),
            swapped: device.input_id().vendor() == SWAPPED_VENDOR,
            device,
        })
    }

    fn read(&self) -> std::io::Result<RawGamepad> {
        let keys = self.device.get_key_state()?;
        let all = self.device.get_abs_state()?;
        let value = |axis: Axis| {
            let info = all.get(usize::from(axis.0))?;
            let known = self.axes.contains(&axis.0);
            known.then_some((info.value, info.minimum, info.maximum))
        };
        let mut raw = from_kernel(&|key| keys.contains(key), &value, self.swapped);
        raw.name.clone_from(&self.name);
        Ok(raw)
    }
}

/// Translates kernel buttons and axes (value, minimum, maximum) to a gamepad state.
fn from_kernel(
    down: &dyn Fn(KeyCode) -> bool,
    axis: &dyn Fn(Axis) -> Option<(i32, i32, i32)>,
    swapped: bool,
) -> RawGamepad {
    let (west, north) = if swapped {
        (KeyCode::BTN_NORTH, KeyCode::BTN_WEST)
    } else {
        (KeyCode::BTN_WEST, KeyCode::BTN_NORTH)
    };
    let buttons = [
        (KeyCode::BTN_SOUTH, GamepadButton::South),
        (KeyCode::BTN_EAST, GamepadButton::East),
        (west, GamepadButton::West),
        (north, GamepadButton::North),
        (KeyCode::BTN_TL, GamepadButton::LeftShoulder),
        (KeyCode::BTN_TR, GamepadButton::RightShoulder),
        (KeyCode::BTN_TL2, GamepadButton::LeftTrigger),
        (KeyCode::BTN_TR2, GamepadButton::RightTrigger),
        (KeyCode::BTN_START, GamepadButton::Start),
        (KeyCode::BTN_SELECT, GamepadButton::Select),
    ];
    // The position between minimum and maximum, from 0 to 1.
    let fraction = |of: Axis| {
        let (value, min, max) = axis(of)?;
        (max > min).then(|| {
            let (value, min, max) = (f64::from(value), f64::from(min), f64::from(max));
            ((value - min) / (max - min)) as f32
        })
    };
    let centred = |of: Axis| fraction(of).map_or(0.0, |fraction| 2.0 * fraction - 1.0);
    let hat = |of: Axis| axis(of).map_or(0, |(value, ..)| value);
    // Z and RZ are triggers only if the right stick is on RX and RY.
    let right_stick_on_rx = axis(Axis::ABS_RX).is_some() && axis(Axis::ABS_RY).is_some();
    let trigger = |usual: Axis, other: Axis| {
        let usual = fraction(usual).filter(|_| right_stick_on_rx);
        usual.or_else(|| fraction(other)).unwrap_or(0.0)
    };
    let pressed = buttons.into_iter().filter(|(key, _)| down(*key));
    RawGamepad {
        name: String::new(),
        buttons: pressed.map(|(_, button)| button).collect(),
        dpad: [
            hat(Axis::ABS_HAT0Y) < 0 || down(KeyCode::BTN_DPAD_UP),
            hat(Axis::ABS_HAT0Y) > 0 || down(KeyCode::BTN_DPAD_DOWN),
            hat(Axis::ABS_HAT0X) < 0 || down(KeyCode::BTN_DPAD_LEFT),
            hat(Axis::ABS_HAT0X) > 0 || down(KeyCode::BTN_DPAD_RIGHT),
        ],
        stick: [centred(Axis::ABS_X), -centred(Axis::ABS_Y)],
        right_stick: if right_stick_on_rx {
            [centred(Axis::ABS_RX), -centred(Axis::ABS_RY)]
        } else {
            [centred(Axis::ABS_Z), -centred(Axis::ABS_RZ)]
        },
        triggers: [
            trigger(Axis::ABS_Z, Axis::ABS_BRAKE),
            trigger(Axis::ABS_RZ, Axis::ABS_GAS),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Axes<'a> = &'a [(Axis, (i32, i32, i32))];

    fn read(down: &[KeyCode], axes: Axes<'_>, swapped: bool) -> RawGamepad {
        let axis = |of: Axis| {
            axes.iter()
                .find(|(has, _)| *has == of)
                .map(|(_, value)| *value)
        };
        from_kernel(&|key| down.contains(&key), &axis, swapped)
    }

    #[test]
    fn sticks_and_triggers_are_scaled() {
        let raw = read(
            &[],
            &[
                (Axis::ABS_X, (255, 0, 255)),
                (Axis::ABS_Y, (-32768, -32768, 32767)),
                (Axis::ABS_RX, (128, 0, 255)),
                (Axis::ABS_RY, (128, 0, 255)),
                (Axis::ABS_Z, (0, 0, 255)),
                (Axis::ABS_RZ, (255, 0, 255)),
                (Axis::ABS_HAT0X, (-1, -1, 1)),
            ],
            false,
        );
        assert_eq!((raw.stick, raw.triggers), ([1.0, 1.0], [0.0, 1.0]));
        let [right, up] = raw.right_stick.map(f32::abs);
        assert!(right < 0.01 && up < 0.01, "{raw:?}");
        assert_eq!(raw.dpad, [false, false, true, false]);
    }

    #[test]
    fn right_stick_on_z_axes_is_no_trigger() {
        let raw = read(
            &[KeyCode::BTN_TR2],
            &[(Axis::ABS_Z, (255, 0, 255)), (Axis::ABS_RZ, (255, 0, 255))],
            false,
        );
        assert_eq!((raw.triggers, raw.right_stick), ([0.0, 0.0], [1.0, -1.0]));
        assert_eq!(raw.buttons, BTreeSet::from([GamepadButton::RightTrigger]));
    }

    #[test]
    fn empty_axis_range_is_centred() {
        assert_eq!(read(&[], &[(Axis::ABS_X, (3, 0, 0))], false).stick[0], 0.0);
    }

    #[test]
    fn swapped_buttons_are_corrected() {
        let west = |swapped| read(&[KeyCode::BTN_WEST], &[], swapped).buttons;
        assert_eq!(west(false), BTreeSet::from([GamepadButton::West]));
        assert_eq!(west(true), BTreeSet::from([GamepadButton::North]));
    }

    #[test]
    fn other_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["event0", "mouse0"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut backend = GamepadBackend::in_folder(folder.path().into());
        backend.scan();
        assert!(backend.read().is_empty());
        let event = folder.path().join("event0");
        assert_eq!(backend.not_gamepads, BTreeSet::from([event.clone()]));
        std::fs::remove_file(event).unwrap();
        backend.scan();
        assert!(
            backend.not_gamepads.is_empty(),
            "a removed file is forgotten"
        );
    }
}
