//! The parameters of a network in one flat slice, and its matrices packed for products.

use std::collections::BTreeMap;

use candle_core::{Storage, Tensor, Var};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::matmul::PANEL;
use crate::{Error, Result};

/// Parameters start at multiples of this.
const ALIGN: usize = 16;

/// A range of a flat slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub at: usize,
    pub len: usize,
}

impl Slot {
    pub(super) fn of<'a>(&self, flat: &'a [f32]) -> &'a [f32] {
        &flat[self.at..self.at + self.len]
    }

    pub(super) fn of_mut<'a>(&self, flat: &'a mut [f32]) -> &'a mut [f32] {
        &mut flat[self.at..self.at + self.len]
    }
}

/// A matrix [outputs, inputs] and its packed panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub weight: Slot,
    pub outputs: usize,
    pub inputs: usize,
    /// For x Wᵀ: [outputs / 32][inputs][32].
    pub forward: Slot,
    /// For dy W: [inputs / 32][outputs][32]; for a 3×3 convolution see [`pack_flipped`].
    pub backward: Slot,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// A 3×3 convolution [M, 9·C]; its input gradient is the convolution with flipped taps.
    Convolution,
}

/// The offset of every parameter in a flat slice, by name.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    slots: BTreeMap<String, (Slot, Vec<usize>)>,
    matrices: Vec<Matrix>,
    len: usize,
    packed: usize,
}

impl Layout {
    /// Lays out parameters in the order of their names.
    pub(super) fn new(vars: &BTreeMap<String, Var>) -> Self {
        let mut layout = Self::default();
        for (name, var) in vars {
            let slot = Slot {
                at: layout.len,
                len: var.elem_count(),
            };
            layout.len += slot.len.next_multiple_of(ALIGN);
            layout
                .slots
                .insert(name.clone(), (slot, var.dims().to_vec()));
        }
        layout
    }

    /// Length of the flat slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The part of a flat slice that belongs to a parameter; `None` if there is no such parameter.
    pub fn find<'a>(&self, name: &str, flat: &'a [f32]) -> Option<&'a [f32]> {
        self.slots.get(name).map(|(slot, _)| slot.of(flat))
    }

    /// The range of the parameters whose names start with `prefix`.
    pub(super) fn range(&self, prefix: &str) -> std::ops::Range<usize> {
        let slots = self
            .slots
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        let slots = slots.map(|(_, (slot, _))| slot);
        let start = slots.clone().map(|slot| slot.at).min().unwrap_or(0);
        start..slots.map(|slot| slot.at + slot.len).max().unwrap_or(start)
    }

    pub(super) fn slot(&self, name: &str) -> Result<Slot> {
        self.get(name).map(|(slot, _)| slot)
    }

    fn get(&self, name: &str) -> Result<(Slot, &[usize])> {
        match self.slots.get(name) {
            Some((slot, shape)) => Ok((*slot, shape)),
            None => Err(Error::Shape(format!("no parameter '{name}'"))),
        }
    }

    fn packed(&mut self, rows: usize, columns: usize) -> Slot {
        let slot = Slot {
            at: self.packed,
            len: columns.next_multiple_of(PANEL) * rows,
        };
        self.packed += slot.len;
        slot
    }

    /// Reserves panels for a matrix, [outputs, inputs].
    pub(super) fn matrix(&mut self, name: &str) -> Result<Matrix> {
        self.pack(name, Kind::Plain)
    }

    /// Reserves panels for the weight of a 3×3 convolution, [outputs, 9·channels].
    pub(super) fn convolution(&mut self, name: &str) -> Result<Matrix> {
        self.pack(name, Kind::Convolution)
    }

    fn pack(&mut self, name: &str, kind: Kind) -> Result<Matrix> {
        let (weight, shape) = self.get(name)?;
        let &[outputs, inputs] = shape else {
            let what = format!("parameter '{name}' is {shape:?}, expected a matrix");
            return Err(Error::Shape(what));
        };
        let forward = self.packed(inputs, outputs);
        let backward = match kind {
            Kind::Plain => self.packed(outputs, inputs),
            Kind::Convolution => self.packed(9 * outputs, inputs / 9),
        };
        let matrix = Matrix {
            weight,
            outputs,
            inputs,
            forward,
            backward,
            kind,
        };
        self.matrices.push(matrix);
        Ok(matrix)
    }
}

/// The values of a network's parameters, flat and packed.
pub(super) struct Weights {
    values: Buffer,
    panels: Buffer,
}

impl Weights {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            values: Buffer::new(layout.len),
            panels: Buffer::new(layout.packed),
        }
    }

    /// Copies and packs the current values of the parameters.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing, has another size or is not on the CPU.
    pub(super) fn refresh(&mut self, layout: &Layout, vars: &BTreeMap<String, Var>) -> Result<()> {
        for (name, (slot, _)) in &layout.slots {
            let var = vars
                .get(name)
                .ok_or_else(|| Error::Shape(format!("no parameter '{name}'")))?;
            with_numbers(var, |values| {
                if values.len() != slot.len {
                    let what = format!("parameter '{name}' has another size");
                    return Err(Error::Shape(what));
                }
                slot.of_mut(&mut self.values).copy_from_slice(values);
                Ok(())
            })??;
        }
        let values: &[f32] = &self.values;
        // The panels are in the order of `layout.matrices`.
        let mut rest: &mut [f32] = &mut self.panels;
        let mut work = Vec::with_capacity(layout.matrices.len());
        for matrix in &layout.matrices {
            let (forward, others) = rest.split_at_mut(matrix.forward.len);
            let (backward, others) = others.split_at_mut(matrix.backward.len);
            work.push((matrix, forward, backward));
            rest = others;
        }
        work.into_par_iter().for_each(|(m, forward, backward)| {
            let weight = m.weight.of(values);
            pack_transposed(weight, m.outputs, m.inputs, forward);
            match m.kind {
                Kind::Plain => pack_rows(weight, m.outputs, m.inputs, backward),
                Kind::Convolution => pack_flipped(weight, m.outputs, m.inputs / 9, backward),
            }
        });
        Ok(())
    }

    /// The values of a parameter.
    pub(super) fn get(&self, slot: Slot) -> &[f32] {
        slot.of(&self.values)
    }

    /// The panels of a matrix.
    pub(super) fn panels(&self, slot: Slot) -> &[f32] {
        slot.of(&self.panels)
    }
}

/// Calls `f` with the values of a contiguous f32 tensor on the CPU.
///
/// # Errors
/// Returns an error if the tensor is on another device, not contiguous or of another type.
pub(super) fn with_numbers<R>(t: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = t.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(numbers), Some((from, to))) => Ok(f(&numbers.as_slice::<f32>()?[from..to])),
        _ => Err(Error::Internal("expected a contiguous tensor on the CPU")),
    }
}

/// Packs Wᵀ of W [outputs, inputs] into panels [outputs / 32][inputs][32].
fn pack_transposed(weight: &[f32], outputs: usize, inputs: usize, panels: &mut [f32]) {
    for (p, panel) in panels.chunks_exact_mut(inputs * PANEL).enumerate() {
        for lane in 0..PANEL.min(outputs - p * PANEL) {
            let row = &weight[(p * PANEL + lane) * inputs..][..inputs];
            for (at, w) in row.iter().enumerate() {
                panel[at * PANEL + lane] = *w;
            }
        }
    }
}

/// Packs W [outputs, inputs] into panels [inputs / 32][outputs][32].
fn pack_rows(weight: &[f32], outputs: usize, inputs: usize, panels: &mut [f32]) {
    for (p, panel) in panels.chunks_exact_mut(outputs * PANEL).enumerate() {
        let width = PANEL.min(inputs - p * PANEL);
        for (row, out) in weight
            .chunks_exact(inputs)
            .zip(panel.chunks_exact_mut(PANEL))
        {
            out[..width].copy_from_slice(&row[p * PANEL..p * PANEL + width]);
        }
    }
}

/// Packs the weight [M, 9, C] of a convolution, with flipped taps, into panels [C / 32][9][M][32]. The
/// gradient of the input is the convolution of the output's gradient with it.
fn pack_flipped(weight: &[f32], m: usize, c: usize, panels: &mut [f32]) {
    for (p, panel) in panels.chunks_exact_mut(9 * m * PANEL).enumerate() {
        let width = PANEL.min(c - p * PANEL);
        for (at, out) in panel.chunks_exact_mut(PANEL).enumerate() {
            let (tap, o) = (8 - at / m, at % m);
            let from = (o * 9 + tap) * c + p * PANEL;
            out[..width].copy_from_slice(&weight[from..from + width]);
        }
    }
}
