//! The number type of a network's matrix products.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::ops::{TensorResult, conv3x3};

/// The number type of matrix products. Weights, sums, norms, attention and losses are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// bfloat16 factors, accumulated in f32 (mixed precision after Micikevicius et al., 2018). On a
    /// CPU the rounded factors are multiplied in f32, which reproduces the rounding but saves no
    /// time.
    Bf16,
}

impl Precision {
    /// Multiplies `x` [rows, in] by the transpose of `weight` [out, in]; returns f32 [rows, out].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn matmul_transposed(self, x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
        let [x, weight] = [self.round(x)?, self.round(weight)?];
        x.matmul(&weight.t()?)?.to_dtype(DType::F32)
    }

    /// [`conv3x3`] of `x` [N, gh, gw, C] with `weight` [M, 9·C]; returns f32 [N, gh, gw, M].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn conv3x3(self, x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
        conv3x3(&self.round(x)?, &self.round(weight)?)?.to_dtype(DType::F32)
    }

    /// Rounds a factor to this precision.
    fn round(self, x: &Tensor) -> TensorResult<Tensor> {
        match self {
            Self::F32 => Ok(x.clone()),
            Self::Bf16 if x.device().is_cpu() => x.to_dtype(DType::BF16)?.to_dtype(DType::F32),
            Self::Bf16 => x.to_dtype(DType::BF16),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Distance from 1 to the next bfloat16.
    const BF16_STEP: f32 = 1.0 / 128.0;

    fn var(values: &[f32], shape: (usize, usize)) -> Var {
        Var::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn bf16_rounds_factors_not_sums() {
        let x = var(&[1.0 + BF16_STEP, 1.0 + 0.4 * BF16_STEP], (1, 2));
        let w = var(&[1.0 + BF16_STEP, 1.0], (1, 2));
        let sum = |precision: Precision| -> f32 {
            let y = precision.matmul_transposed(&x, &w).unwrap();
            y.sum_all().unwrap().to_scalar().unwrap()
        };
        let square = (1.0 + BF16_STEP) * (1.0 + BF16_STEP);
        assert_eq!(sum(Precision::F32), square + 1.0 + 0.4 * BF16_STEP);
        assert_eq!(sum(Precision::Bf16), square + 1.0);
    }

    #[test]
    fn gradients_ignore_the_rounding() {
        let x = var(&[3.0, 5.0], (1, 2));
        let w = var(&[1.0 + 0.4 * BF16_STEP, 2.0], (1, 2));
        let y = Precision::Bf16.matmul_transposed(&x, &w).unwrap();
        let gradients = y.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&w).unwrap().flatten_all().unwrap();
        assert_eq!(gradient.to_vec1::<f32>().unwrap(), [3.0, 5.0]);
    }

    #[test]
    fn conv_of_one_cell_is_a_product() {
        let x = var(&[1.0 + 0.4 * BF16_STEP], (1, 1));
        let mut weight = [0.0; 9];
        weight[4] = 1.0 + BF16_STEP;
        let w = var(&weight, (1, 9));
        for precision in [Precision::F32, Precision::Bf16] {
            let middle = w.narrow(1, 4, 1).unwrap();
            let product = precision
                .matmul_transposed(&x, &middle)
                .unwrap()
                .flatten_all();
            let cell = x.reshape((1, 1, 1, 1)).unwrap();
            let conv = precision.conv3x3(&cell, &w).unwrap().flatten_all();
            assert_eq!(
                conv.unwrap().to_vec1::<f32>().unwrap(),
                product.unwrap().to_vec1::<f32>().unwrap()
            );
        }
    }
}
