//! Rotary positions in one and in three dimensions (RoPE: Su et al., arXiv 2104.09864, eq. 34).
//!
//! The numbers of a head's query or key are pairs (i, i + d/2), each turned by position · frequency. The
//! product of a turned query and a turned key depends on the difference of their positions only. In three
//! dimensions each axis has a share of the pairs.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

/// Ratio of the highest and the lowest frequency. Clips are short: a few turns over their length do.
const BASE: f32 = 100.0;

/// Cosine and sine for each token and pair.
#[derive(Clone, Debug)]
pub struct Rotary {
    tokens: usize,
    pairs: usize,
    /// cos and sin in turn, [tokens, pairs, 2].
    table: Vec<f32>,
}

impl Rotary {
    /// Positions 0 to `tokens` − 1 of words, for heads of `d` numbers.
    pub fn line(tokens: usize, d: usize) -> Self {
        Self::new(&(0..tokens).map(|i| [i as f32]).collect::<Vec<_>>(), d)
    }

    /// Positions (frame, row, column) of all tokens of a clip, for heads of `d` numbers.
    pub fn clip(frames: usize, [rows, columns]: [usize; 2], d: usize) -> Self {
        let mut positions = Vec::with_capacity(frames * rows * columns);
        for t in 0..frames {
            for y in 0..rows {
                positions.extend((0..columns).map(|x| [t as f32, y as f32, x as f32]));
            }
        }
        Self::new(&positions, d)
    }

    fn new<const N: usize>(positions: &[[f32; N]], d: usize) -> Self {
        let pairs = d / 2;
        // The first axis, time, gets what does not divide evenly.
        let share = pairs / N;
        let first = pairs - share * (N - 1);
        let mut table = Vec::with_capacity(positions.len() * pairs * 2);
        for position in positions {
            for (axis, at) in position.iter().enumerate() {
                let count = if axis == 0 { first } else { share };
                for i in 0..count {
                    let angle = at * BASE.powf(-(i as f32) / count as f32);
                    table.extend([angle.cos(), angle.sin()]);
                }
            }
        }
        Self {
            tokens: positions.len(),
            pairs,
            table,
        }
    }

    /// Turns the queries and keys in `qkv` [B, 1, S, 3·w] of heads with twice as many numbers as there are
    /// pairs; values stay.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or the device fails.
    pub fn turn(&self, qkv: &Tensor) -> candle_core::Result<Tensor> {
        if qkv.device().is_cpu() {
            return qkv.contiguous()?.apply_op1(Turn {
                rotary: self.clone(),
                back: false,
            });
        }
        self.composed(qkv)
    }

    /// [`Rotary::turn`] in operations that every device has.
    fn composed(&self, qkv: &Tensor) -> candle_core::Result<Tensor> {
        let (b, f, s, w3) = qkv.dims4()?;
        let heads = w3 / 3 / (2 * self.pairs);
        let table = Tensor::from_slice(&self.table, (s, 1, self.pairs, 2), qkv.device())?;
        let [cos, sin] = [0, 1].map(|i| table.narrow(3, i, 1));
        let (cos, sin) = (cos?.squeeze(3)?, sin?.squeeze(3)?);
        let turned = qkv
            .narrow(3, 0, 2 * w3 / 3)?
            .reshape((b * f, s, 2 * heads, 2, self.pairs))?;
        let (x, y) = (
            turned.narrow(3, 0, 1)?.squeeze(3)?,
            turned.narrow(3, 1, 1)?.squeeze(3)?,
        );
        let first = (x.broadcast_mul(&cos)? - y.broadcast_mul(&sin)?)?;
        let second = (x.broadcast_mul(&sin)? + y.broadcast_mul(&cos)?)?;
        let turned = Tensor::stack(&[first, second], 3)?.reshape((b, f, s, 2 * w3 / 3))?;
        Tensor::cat(&[&turned, &qkv.narrow(3, 2 * w3 / 3, w3 / 3)?], 3)
    }

    /// Turns a row of queries and keys of a token, [2·w].
    pub fn turn_row(&self, token: usize, row: &mut [f32]) {
        self.turn_in_place(token, false, row);
    }

    /// Undoes [`Rotary::turn_row`], which is also its gradient.
    pub fn turn_row_back(&self, token: usize, row: &mut [f32]) {
        self.turn_in_place(token, true, row);
    }

    fn turn_in_place(&self, token: usize, back: bool, row: &mut [f32]) {
        let table = &self.table[token * 2 * self.pairs..(token + 1) * 2 * self.pairs];
        for head in row.chunks_exact_mut(2 * self.pairs) {
            let (x, y) = head.split_at_mut(self.pairs);
            for ((x, y), turn) in x.iter_mut().zip(y).zip(table.chunks_exact(2)) {
                let (cos, sin) = (turn[0], if back { -turn[1] } else { turn[1] });
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        }
    }
}

/// The turn as one candle operation on the CPU; its backward pass turns back.
struct Turn {
    rotary: Rotary,
    back: bool,
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let Rotary { tokens, pairs, .. } = self.rotary;
        let &[_, 1, s, w3] = layout.dims() else {
            bail!("rotary: {:?}, expected [B, 1, S, 3·w]", layout.dims())
        };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("rotary: expected a contiguous tensor")
        };
        if s != tokens || w3 % 3 != 0 || (w3 / 3) % (2 * pairs) != 0 {
            bail!(
                "rotary: {:?} with {tokens} tokens and heads of {}",
                layout.dims(),
                2 * pairs
            )
        }
        let mut out = qkv.as_slice::<f32>()?[start..end].to_vec();
        for (i, row) in out.chunks_exact_mut(w3).enumerate() {
            let row = &mut row[..2 * w3 / 3];
            self.rotary.turn_in_place(i % tokens, self.back, row);
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        _qkv: &Tensor,
        _res: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let back = Turn {
            rotary: self.rotary.clone(),
            back: !self.back,
        };
        Ok(Some(gradient.contiguous()?.apply_op1(back)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn random(dims: &[usize]) -> Tensor {
        let count: usize = dims.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|i| ((i * i + 3) as f32 * 0.37).sin())
            .collect();
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        gap.max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn turn_and_its_gradient_match_the_composed_form() {
        let rotary = Rotary::clip(3, [2, 2], 10);
        let qkv = Var::from_tensor(&random(&[2, 1, 12, 60])).unwrap();
        let weights = random(&[2, 1, 12, 60]);
        let gradient = |y: &Tensor| {
            let loss = (y * &weights).unwrap().sqr().unwrap().sum_all().unwrap();
            loss.backward().unwrap().get(&qkv).unwrap().clone()
        };
        let (fused, composed) = (rotary.turn(&qkv).unwrap(), rotary.composed(&qkv).unwrap());
        assert!(distance(&fused, &composed) < 1e-6);
        assert!(distance(&gradient(&fused), &gradient(&composed)) < 1e-5);
    }

    #[test]
    fn products_depend_on_differences_of_positions() {
        // The same query and key at all 5 · 3 · 4 positions.
        let (d, size) = (12, [5, 3, 4]);
        let rotary = Rotary::clip(size[0], [size[1], size[2]], d);
        let row = random(&[1, 1, 1, 3 * d]);
        let all = row
            .repeat((1, 1, size.iter().product::<usize>(), 1))
            .unwrap();
        let turned: Vec<Vec<f32>> = rotary
            .turn(&all)
            .unwrap()
            .squeeze(0)
            .unwrap()
            .squeeze(0)
            .unwrap()
            .to_vec2()
            .unwrap();
        let at = |[t, y, x]: [usize; 3]| &turned[(t * size[1] + y) * size[2] + x];
        let product = |a, b| -> f32 {
            let (q, k) = (&at(a)[..d], &at(b)[d..2 * d]);
            q.iter().zip(k).map(|(q, k)| q * k).sum()
        };
        let near = product([0, 0, 0], [2, 1, 3]);
        assert!((near - product([2, 1, 0], [4, 2, 3])).abs() < 1e-4);
        assert!((near - product([0, 0, 0], [2, 1, 2])).abs() > 1e-3);
        assert!((near - product([0, 0, 0], [3, 1, 3])).abs() > 1e-3);
    }
}
