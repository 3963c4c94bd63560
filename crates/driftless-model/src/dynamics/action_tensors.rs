//! Actions as the dynamics takes them.

use candle_core::{Device, Tensor};

use driftless_data::Action;

use crate::Result;

/// The actions of B sequences of F frames.
#[derive(Clone, Debug)]
pub struct ActionTensors {
    /// Indices, u32 [B, F]; one more than that of the last action if unknown.
    pub indices: Tensor,
    /// The axes, f32 [B, F, A], 0 if unknown; `None` of a world that has none.
    pub axes: Option<Tensor>,
}

impl ActionTensors {
    /// From actions in a world with so many axes; `shape` is [B, F].
    ///
    /// # Errors
    /// Returns an error if the shape does not fit or the device fails.
    pub fn new(
        actions: &[Action],
        [b, f]: [usize; 2],
        axes: usize,
        device: &Device,
    ) -> Result<Self> {
        let indices: Vec<u32> = actions.iter().map(|action| action.index).collect();
        let values = actions
            .iter()
            .flat_map(|action| action.axes.iter().take(axes));
        let values: Vec<f32> = values.copied().collect();
        let values = || Tensor::from_vec(values, (b, f, axes), device);
        Ok(Self {
            indices: Tensor::from_vec(indices, (b, f), device)?,
            axes: (axes > 0).then(values).transpose()?,
        })
    }

    /// The parts one after another in time.
    ///
    /// # Errors
    /// Returns an error if they are of different worlds or the device fails.
    pub fn cat(parts: &[&Self]) -> Result<Self> {
        let indices: Vec<&Tensor> = parts.iter().map(|part| &part.indices).collect();
        let axes: Vec<&Tensor> = parts.iter().filter_map(|part| part.axes.as_ref()).collect();
        let join = || Tensor::cat(&axes, 1);
        Ok(Self {
            indices: Tensor::cat(&indices, 1)?,
            axes: (!axes.is_empty()).then(join).transpose()?,
        })
    }

    /// The actions, one sequence after another.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn to_vec(&self) -> Result<Vec<Action>> {
        let indices: Vec<u32> = self.indices.flatten_all()?.to_vec1()?;
        let axes = self
            .axes
            .as_ref()
            .map(|axes| -> Result<_> { Ok((axes.dim(2)?, axes.flatten_all()?.to_vec1::<f32>()?)) });
        let (width, axes) = axes.transpose()?.unwrap_or((1, Vec::new()));
        let mut axes = axes.chunks_exact(width);
        let mut next = || axes.next().unwrap_or_default();
        let actions = indices.into_iter();
        Ok(actions
            .map(|index| Action::with_axes(index, next()))
            .collect())
    }
}
