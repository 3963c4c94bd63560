//! A world that always shows the same frame: a recording is replayed on it in no time.

use std::path::Path;

use driftless_data::Action;
use driftless_engine::{SamplerParams, StageTimes};
use driftless_sim::{Player, PlayerSnapshot, Result};

/// Takes what the simulator that it was made from takes, and stands still.
pub struct Still {
    image: Vec<u8>,
    image_size: [usize; 2],
    actions: usize,
    start_count: usize,
    snapshot: PlayerSnapshot,
}

impl Still {
    pub fn of(player: &mut dyn Player) -> Result<Self> {
        player.start(0, &SamplerParams::default())?;
        Ok(Self {
            image: player.image()?.to_vec(),
            image_size: player.image_size(),
            actions: player.actions(),
            start_count: player.start_count(),
            snapshot: player.snapshot()?,
        })
    }
}

impl Player for Still {
    fn name(&self) -> &str {
        "still"
    }

    fn world(&self) -> String {
        "Still".into()
    }

    fn image_size(&self) -> [usize; 2] {
        self.image_size
    }

    fn actions(&self) -> usize {
        self.actions
    }

    fn start_count(&self) -> usize {
        self.start_count
    }

    fn start(&mut self, _: usize, _: &SamplerParams) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, _: Action, _: &SamplerParams) -> Result<StageTimes> {
        Ok(StageTimes::default())
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(&self.image)
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(self.snapshot.clone())
    }

    fn restore(&mut self, _: &PlayerSnapshot) -> Result<()> {
        Ok(())
    }
}

/// Whether an input is one of the few that are replayed on the real simulator, by the file's length.
pub fn is_for_the_simulator(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len().is_multiple_of(61))
}
