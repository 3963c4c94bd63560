//! A world on a server.

use driftless_data::DatasetInfo;
use driftless_engine::{PARAMS, ParamSpec, SamplerParams};
use driftless_serve::protocol::{FrameHeader, HEADER_BYTES, SettingInfo, WorldInfo};
use serde_json::{Map, Value};

use crate::RemoteServer;
use crate::socket::WORDS_BYTES;

/// A world on a server.
pub struct RemoteWorld {
    server: RemoteServer,
    info: WorldInfo,
}

impl RemoteWorld {
    pub(crate) fn new(server: RemoteServer, info: WorldInfo) -> Self {
        Self { server, info }
    }

    /// The server.
    pub fn server(&self) -> &RemoteServer {
        &self.server
    }

    /// What the server says about it.
    pub fn info(&self) -> &WorldInfo {
        &self.info
    }

    /// Name, frame rate, frame size, actions and axes.
    pub fn dataset_info(&self) -> DatasetInfo {
        let info = self.info.clone();
        DatasetInfo {
            name: info.title,
            fps: info.fps,
            image: info.image,
            actions: info.actions,
            axes: info.axes,
        }
    }

    /// The setting of this name, if the world has it.
    pub fn setting(&self, name: &str) -> Option<&SettingInfo> {
        self.info.settings.iter().find(|info| info.name == name)
    }

    /// The sampler parameters that suit the world.
    pub fn params(&self) -> SamplerParams {
        self.over(SamplerParams::default(), &self.info.defaults)
    }

    /// `params` with the values that a server names; what this program does not know is left out.
    pub(crate) fn over(&self, params: SamplerParams, values: &Map<String, Value>) -> SamplerParams {
        let mut changed = params;
        for spec in PARAMS.iter().filter(|spec| self.has(spec)) {
            let value = values.get(spec.name).and_then(|value| spec.of_json(value));
            if let Some(value) = value {
                spec.set(&mut changed, value);
            }
        }
        if changed.check().is_ok() {
            changed
        } else {
            params
        }
    }

    /// The settings that turn `before` into `after`, by name.
    pub(crate) fn changes(
        &self,
        before: &SamplerParams,
        after: &SamplerParams,
    ) -> Map<String, Value> {
        let differs = |spec: &&ParamSpec| spec.get(before) != spec.get(after);
        let changed = PARAMS.iter().filter(|s| self.has(s)).filter(differs);
        let value = |spec: &ParamSpec| (spec.name.to_owned(), spec.to_json(spec.decimal(after)));
        changed.map(value).collect()
    }

    fn has(&self, spec: &ParamSpec) -> bool {
        self.setting(spec.name).is_some()
    }

    /// The longest message of a game, in bytes: two pictures, whatever their format.
    pub(crate) fn max_bytes(&self) -> usize {
        let [height, width] = self.info.image;
        let pictures = 2 * height * width * 3;
        WORDS_BYTES
            .max(HEADER_BYTES + 4 * self.info.axes.len() + pictures + pictures / 8 + (64 << 10))
    }

    /// Says what is wrong with a frame of this world, if anything.
    pub(crate) fn check(&self, header: &FrameHeader) -> Result<(), String> {
        let [height, width] = self.info.image;
        let [found_width, found_height] = header.size.map(usize::from);
        if (found_height, found_width) != (height, width) {
            return Err(format!(
                "a picture of {found_width}×{found_height}, expected {width}×{height}"
            ));
        }
        let (axes, clips) = (self.info.axes.len(), self.info.clips);
        if usize::from(header.axes) != axes || header.clip as usize >= clips {
            return Err(format!(
                "a frame with {} axes of starting clip {}, expected {axes} axes and less than {clips}",
                header.axes, header.clip
            ));
        }
        header.action.check(self.info.actions.len(), axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;
    use crate::check::tests::described;
    use driftless_serve::protocol::FrameFlags;
    use driftless_serve::protocol::PictureFormat;

    fn world() -> RemoteWorld {
        let address = Address::parse("ws://127.0.0.1:1").unwrap();
        let server = RemoteServer::new(address, None, None).unwrap();
        RemoteWorld::new(server, serde_json::from_value(described()).unwrap())
    }

    #[test]
    fn only_changed_settings_are_sent() {
        let world = world();
        let own = world.params();
        assert_eq!(own.steps, 4);
        assert!(world.changes(&own, &own).is_empty());
        // The world has no setting `shift`.
        let other = SamplerParams {
            steps: 2,
            shift: 3.0,
            ..own
        };
        let changes = world.changes(&own, &other);
        assert_eq!(
            Value::from(changes.clone()),
            serde_json::json!({"steps": 2})
        );
        assert_eq!(world.over(own, &changes).steps, 2);
    }

    #[test]
    fn impossible_settings_of_a_server_change_nothing() {
        let world = world();
        let own = world.params();
        for values in [
            serde_json::json!({"steps": 1_000_000}),
            serde_json::json!({"steps": "many"}),
            serde_json::json!({"magic": 1}),
        ] {
            assert_eq!(world.over(own, values.as_object().unwrap()), own);
        }
    }

    #[test]
    fn frames_of_other_worlds_are_named() {
        let header = FrameHeader {
            format: PictureFormat::Raw,
            flags: FrameFlags::default(),
            frame: 1,
            number: 0,
            branch: 0,
            index: 0,
            input: 0,
            waited_ms: 0.0,
            made_ms: 0.0,
            score: 0.0,
            size: [48, 64],
            picture: 0,
            action: 1.into(),
            axes: 0,
            seed: 0,
            clip: 2,
            outcome: None,
        };
        assert_eq!(world().check(&header), Ok(()));
        let wrong = [
            (
                FrameHeader {
                    size: [64, 48],
                    ..header
                },
                "64×48, expected 48×64",
            ),
            (FrameHeader { axes: 1, ..header }, "1 axes"),
            (FrameHeader { clip: 3, ..header }, "starting clip 3"),
            (
                FrameHeader {
                    action: 2.into(),
                    ..header
                },
                "unknown action 2",
            ),
        ];
        for (header, expected) in wrong {
            let error = world().check(&header).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
