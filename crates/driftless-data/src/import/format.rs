//! The formats that can be imported: the one list that the command line and the window show.

use serde::Serialize;

/// Format of the recordings to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum ImportFormat {
    /// Images and a CSV file with the columns file, action and optionally episode.
    Images,
    /// A video, or a folder of videos, without action labels.
    Video,
    /// NumPy files (.npz), such as Dreamer's replay buffers.
    Npz,
    /// OpenAI VPT contractor data: videos (.mp4), each with its key presses (.jsonl).
    Vpt,
    /// HDF5: a Minari dataset, robomimic's demonstrations, or the Counter-Strike recordings that DIAMOND
    /// is trained on. Read by builds with the feature `hdf5`.
    #[cfg_attr(feature = "clap", value(alias = "hdf5"))]
    Minari,
    /// A LeRobot dataset, version 2 or 3. Read by builds with the feature `parquet`.
    Lerobot,
}

impl ImportFormat {
    /// All formats, those that need the least explanation last.
    pub const ALL: [Self; 6] = [
        Self::Vpt,
        Self::Lerobot,
        Self::Minari,
        Self::Npz,
        Self::Images,
        Self::Video,
    ];

    /// Its name on the command line and in an import's report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Video => "video",
            Self::Npz => "npz",
            Self::Vpt => "vpt",
            Self::Minari => "minari",
            Self::Lerobot => "lerobot",
        }
    }

    /// What a source in this format is, for a person to read.
    pub fn description(self) -> &'static str {
        match self {
            Self::Vpt => {
                "a folder of videos NAME.mp4, each with its actions in NAME.jsonl, as in OpenAI's VPT for \
                 Minecraft"
            }
            Self::Lerobot => {
                "a LeRobot dataset (version 2 or 3); continuous actions need an action map"
            }
            Self::Minari => {
                "a Minari dataset folder, or an HDF5 file of Minari, robomimic or DIAMOND's Counter-Strike"
            }
            Self::Npz => {
                "a folder of NumPy files (.npz) with images and actions, such as Dreamer's episodes"
            }
            Self::Images => {
                "a folder of images with one .csv: columns file, action, and optionally episode"
            }
            Self::Video => "a video, or a folder of videos, without actions",
        }
    }

    /// Whether this build reads the format.
    pub fn is_available(self) -> bool {
        match self {
            Self::Images | Self::Video | Self::Npz | Self::Vpt => true,
            Self::Minari => cfg!(feature = "hdf5"),
            Self::Lerobot => cfg!(feature = "parquet"),
        }
    }

    /// Whether its frames have actions.
    pub fn has_actions(self) -> bool {
        self != Self::Video
    }

    /// Whether its actions have names already, so that no action map is needed.
    pub fn names_actions(self) -> bool {
        self == Self::Vpt
    }

    /// Whether it always records its frame rate.
    pub fn has_frame_rate(self) -> bool {
        match self {
            Self::Vpt | Self::Lerobot | Self::Video => true,
            Self::Images | Self::Minari | Self::Npz => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_listed_by_its_name() {
        for format in ImportFormat::ALL {
            let written = serde_json::to_value(format).unwrap();
            assert_eq!(written, format.name());
            let times = ImportFormat::ALL.iter().filter(|other| **other == format);
            assert_eq!(times.count(), 1);
        }
        // Fails to compile, or here, if one is left out.
        assert_eq!(ImportFormat::ALL.len(), ImportFormat::Lerobot as usize + 1);
    }
}
