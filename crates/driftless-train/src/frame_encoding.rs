//! Encodes the frames of a run once, before its latents are trained on.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Var};

use driftless_model::config::WorldConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::{Tokenizer, images_to_tensor};

use crate::Result;
use crate::cpu::frame_encoder::FrameEncoder;
use crate::frame_store::{ByteStore, FrameStore};
use crate::progress::TrainProgress;

/// Frames encoded at once.
const BATCH: usize = 64;

/// How frames are encoded, and where their latents go.
pub(super) struct FrameEncoding<'a> {
    pub world: &'a WorldConfig,
    /// The file of the trained tokenizer.
    pub tokenizer: &'a Path,
    pub device: &'a Device,
    /// Where latents go that exceed the memory.
    pub folder: &'a Path,
    /// Memory for latents in GiB.
    pub memory_gib: f64,
}

impl FrameEncoding<'_> {
    /// Latents of all frames, f32 in native byte order.
    ///
    /// # Errors
    /// Returns an error if the tokenizer does not match the world, or if the device or the file of the
    /// latents fails.
    pub fn encode(
        &self,
        store: &FrameStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<ByteStore> {
        let memory_limit = self.memory_gib * f64::from(1 << 30);
        let latents = ByteStore::new(self.folder, memory_limit as u64);
        self.open()?.encode(store, latents, progress)
    }

    /// What encodes the frames of one store after another.
    ///
    /// # Errors
    /// Returns an error if the tokenizer does not match the world.
    pub fn open(&self) -> Result<StoreEncoder> {
        let params = Params::read(self.tokenizer, self.device)?;
        let tokenizer = Tokenizer::new(&params, self.world)?;
        params.finish()?;
        let on_cpu = self.device.is_cpu();
        let encoder = || FrameEncoder::new(self.world, &self.tokenizer_weights()?);
        Ok(StoreEncoder {
            tokenizer,
            cpu: on_cpu.then(encoder).transpose()?,
            image: self.world.image,
            device: self.device.clone(),
        })
    }

    /// The weights of the trained tokenizer, by name.
    fn tokenizer_weights(&self) -> Result<BTreeMap<String, Var>> {
        let tensors = candle_core::safetensors::load(self.tokenizer, self.device)?;
        let vars = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor.to_dtype(DType::F32)?)?)));
        vars.collect()
    }
}

/// Encodes the frames of stores.
pub(super) struct StoreEncoder {
    tokenizer: Tokenizer,
    /// Encodes on the CPU; `None` on other devices.
    cpu: Option<FrameEncoder>,
    image: [usize; 2],
    device: Device,
}

impl StoreEncoder {
    /// Appends the latents of all frames to `latents`, which are empty: f32 in native byte order.
    ///
    /// # Errors
    /// Returns an error if the device or a file fails.
    pub fn encode(
        &mut self,
        store: &FrameStore,
        mut latents: ByteStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<ByteStore> {
        let mut images = Vec::new();
        for first in (0..store.frames()).step_by(BATCH) {
            let end = store.frames().min(first + BATCH);
            images.clear();
            store.read(first..end, &mut images)?;
            let z = match &mut self.cpu {
                Some(encoder) => encoder.encode(&images)?,
                None => {
                    let images = images_to_tensor(&images, self.image, &self.device)?;
                    let z = self.tokenizer.encode(&images)?.to_device(&Device::Cpu)?;
                    z.flatten_all()?.to_vec1::<f32>()?
                }
            };
            let bytes: Vec<u8> = z.iter().flat_map(|x| x.to_ne_bytes()).collect();
            latents.push(&bytes)?;
            progress.encoding(end, store.frames());
        }
        Ok(latents)
    }
}
