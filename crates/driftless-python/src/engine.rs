//! One engine, frame by frame.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;

use numpy::{
    PyArray1, PyArray3, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArray3, PyReadonlyArray4,
};
use pyo3::prelude::*;

use driftless_data::Clip;
use driftless_engine::{DeviceOptions, GpuSource, Sampler, SamplerParams, Snapshot, Threads};
use driftless_model::checkpoint::STARTING_CLIPS;
use driftless_model::starting_clips;

use crate::error::{Error, Result};
use crate::players::{action_of, check_source, clip_of, device, source_of};
use crate::settings;

/// Predicts the frames of a learned world, one after another.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct Engine {
    state: Mutex<State>,
    clips: Vec<Clip>,
    image: [usize; 2],
    /// Where the world is from.
    source: String,
}

struct State {
    sampler: Sampler,
    params: SamplerParams,
}

/// Where an engine is.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct EngineState {
    snapshot: Snapshot,
    /// The world that it is of.
    source: String,
}

#[pymethods]
impl Engine {
    /// Opens a checkpoint folder.
    #[new]
    #[pyo3(signature = (folder, device_name = "cpu", threads = 0))]
    fn new(folder: PathBuf, device_name: &str, threads: usize) -> PyResult<Self> {
        Ok(Self::open(&folder, device_name, threads)?)
    }

    /// Name of the world.
    #[getter]
    fn world(&self) -> PyResult<String> {
        self.with(|state| Ok(state.sampler.world().name.clone()))
    }

    /// Height and width of a frame.
    #[getter]
    fn image_size(&self) -> (usize, usize) {
        (self.image[0], self.image[1])
    }

    /// Names of the actions.
    #[getter]
    fn actions(&self) -> PyResult<Vec<String>> {
        self.with(|state| {
            let actions = state.sampler.world().actions.iter();
            Ok(actions.map(|action| action.name.clone()).collect())
        })
    }

    /// Number of starting clips.
    #[getter]
    fn starts(&self) -> usize {
        self.clips.len()
    }

    /// What computes: `CPU, 2 threads`.
    #[getter]
    fn label(&self) -> PyResult<String> {
        self.with(|state| Ok(state.sampler.label().to_owned()))
    }

    /// The sampler settings, as a JSON object.
    fn settings(&self) -> PyResult<String> {
        self.with(|state| settings::to_json(&state.params))
    }

    /// Changes those sampler settings that a JSON object names, from the next frame on.
    fn change_settings(&self, json: &str) -> PyResult<()> {
        self.with(|state| {
            state.params = settings::changed(&state.params, json)?;
            Ok(())
        })
    }

    /// Starts over from a starting clip.
    fn reset(&self, py: Python<'_>, start: usize) -> PyResult<()> {
        let clip = self.clips.get(start).ok_or_else(|| {
            let most = self.clips.len().saturating_sub(1);
            Error::Value(format!("no starting clip {start}, expected 0 to {most}"))
        })?;
        py.detach(|| self.with(|state| Ok(state.sampler.reset(clip, &state.params)?)))
    }

    /// Starts over from frames u8 [T, H, W, 3] and what led to them: actions u32 [T], axes f32 [T, A].
    fn reset_to<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray4<'py, u8>,
        actions: PyReadonlyArray1<'py, u32>,
        axes: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<()> {
        let clip = clip_of(&images, &actions, &axes, self.image)?;
        py.detach(|| self.with(|state| Ok(state.sampler.reset(&clip, &state.params)?)))
    }

    /// Names of the axes.
    #[getter]
    fn axes(&self) -> PyResult<Vec<String>> {
        self.with(|state| {
            let axes = state.sampler.world().axes.iter();
            Ok(axes.map(|axis| axis.name.clone()).collect())
        })
    }

    /// Predicts the next frame under an action, with the axes of the world there, u8 [H, W, 3].
    #[pyo3(signature = (action, axes = None))]
    fn step<'py>(
        &self,
        py: Python<'py>,
        action: u32,
        axes: Option<Vec<f32>>,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let action = action_of(action, axes.as_deref().unwrap_or_default())?;
        let image = py.detach(|| {
            self.with(|state| {
                state.sampler.step(action, &state.params)?;
                Ok(state.sampler.image()?.to_vec())
            })
        })?;
        self.image_of(py, image)
    }

    /// The last frame, u8 [H, W, 3].
    fn image<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let image = self.with(|state| Ok(state.sampler.image()?.to_vec()))?;
        self.image_of(py, image)
    }

    /// Predicted reward, and probability that the episode ended; `None` if the world predicts none.
    fn outcome(&self) -> PyResult<Option<(f32, f32)>> {
        self.with(|state| {
            let outcome = state.sampler.outcome();
            Ok(outcome.map(|outcome| (outcome.reward, outcome.end)))
        })
    }

    /// How surprising a frame u8 [H, W, 3] would be as the next one under an action, likewise.
    #[pyo3(signature = (image, action, axes = None))]
    fn surprise<'py>(
        &self,
        py: Python<'py>,
        image: PyReadonlyArray3<'py, u8>,
        action: u32,
        axes: Option<Vec<f32>>,
    ) -> PyResult<f32> {
        let action = action_of(action, axes.as_deref().unwrap_or_default())?;
        let image: Vec<u8> = image.as_array().iter().copied().collect();
        py.detach(|| {
            self.with(|state| Ok(state.sampler.surprise(&image, action, &state.params)?))
        })
    }

    /// Latents of frames u8 [N, H, W, 3], f32 [N, numbers].
    fn encode<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray4<'py, u8>,
    ) -> PyResult<Bound<'py, numpy::PyArray2<f32>>> {
        let count = images.as_array().shape()[0];
        let images: Vec<u8> = images.as_array().iter().copied().collect();
        let latents = py.detach(|| self.with(|state| Ok(state.sampler.encode(&images)?)))?;
        let numbers = latents.len() / count.max(1);
        PyArray1::from_vec(py, latents).reshape([count, numbers])
    }

    /// Frames of latents f32 [N, numbers], u8 [N, H, W, 3].
    fn decode<'py>(
        &self,
        py: Python<'py>,
        latents: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray4<u8>>> {
        let count = latents.as_array().shape()[0];
        let latents: Vec<f32> = latents.as_array().iter().copied().collect();
        let images = py.detach(|| self.with(|state| Ok(state.sampler.decode(&latents)?)))?;
        let [height, width] = self.image;
        PyArray1::from_vec(py, images).reshape([count, height, width, 3])
    }

    /// The state.
    fn snapshot(&self) -> PyResult<EngineState> {
        let snapshot = self.with(|state| Ok(state.sampler.snapshot()?))?;
        let source = self.source.clone();
        Ok(EngineState { snapshot, source })
    }

    /// Returns to a state.
    fn restore(&self, saved: &EngineState) -> PyResult<()> {
        check_source(&saved.source, &self.source)?;
        self.with(|state| Ok(state.sampler.restore(&saved.snapshot)?))
    }
}

impl Engine {
    fn open(folder: &std::path::Path, device_name: &str, threads: usize) -> Result<Self> {
        let options = DeviceOptions {
            device: device(device_name)?,
            threads: NonZeroUsize::new(threads).map_or(Threads::Auto, Threads::Exactly),
        };
        let sampler = driftless_engine::open(folder, options, &GpuSource::Own)?;
        let world = sampler.world();
        Ok(Self {
            clips: starting_clips::read(&folder.join(STARTING_CLIPS), world)?,
            image: world.image,
            source: source_of(folder),
            state: Mutex::new(State {
                params: SamplerParams::of_world(world),
                sampler,
            }),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> PyResult<T> {
        let mut state = self.state.try_lock().map_err(Error::from)?;
        Ok(work(&mut state)?)
    }

    fn image_of<'py>(&self, py: Python<'py>, image: Vec<u8>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let [height, width] = self.image;
        PyArray1::from_vec(py, image).reshape([height, width, 3])
    }
}
