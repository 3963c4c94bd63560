//! The number type in which a network's matrices are multiplied.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::ops::conv3x3;

type TensorResult<T> = candle_core::Result<T>;

/// The number type of matrix products. Weights, sums, norms, attention and losses are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// Factors of 16 bits with 8 bits of fraction, products added up in 32 bits (Micikevicius et al.,
    /// 2018, with bfloat16). A processor multiplies the rounded factors in 32 bits, which shows what
    /// the rounding does and saves no time.
    Bf16,
}

impl Precision {
    /// `x` [rows, in] times the transpose of `weight` [out, in]: f32 [rows, out].
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn product(self, x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
        let [x, weight] = [self.factor(x)?, self.factor(weight)?];
        x.matmul(&weight.t()?)?.to_dtype(DType::F32)
    }

    /// [`conv3x3`] of `x` [N, gh, gw, C] with `weight` [M, 9·C]: f32 [N, gh, gw, M].
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn conv3x3(self, x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
        conv3x3(&self.factor(x)?, &self.factor(weight)?)?.to_dtype(DType::F32)
    }

    fn factor(self, x: &Tensor) -> TensorResult<Tensor> {
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

    /// 1 + 2⁻⁷ is the next bfloat16 after 1.
    const STEP: f32 = 1.0 / 128.0;

    fn var(values: &[f32], shape: (usize, usize)) -> Var {
        Var::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn bf16_rounds_the_factors_and_not_their_sum() {
        let x = var(&[1.0 + STEP, 1.0 + 0.4 * STEP], (1, 2));
        let w = var(&[1.0 + STEP, 1.0], (1, 2));
        let of = |precision: Precision| -> f32 {
            let y = precision.product(&x, &w).unwrap();
            y.sum_all().unwrap().to_scalar().unwrap()
        };
        let square = (1.0 + STEP) * (1.0 + STEP);
        assert_eq!(of(Precision::F32), square + 1.0 + 0.4 * STEP);
        assert_eq!(of(Precision::Bf16), square + 1.0);
    }

    #[test]
    fn gradients_pass_through_the_rounding_to_the_unrounded_weights() {
        let x = var(&[3.0, 5.0], (1, 2));
        let w = var(&[1.0 + 0.4 * STEP, 2.0], (1, 2));
        let y = Precision::Bf16.product(&x, &w).unwrap();
        let gradients = y.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&w).unwrap().flatten_all().unwrap();
        assert_eq!(gradient.to_vec1::<f32>().unwrap(), [3.0, 5.0]);
    }

    #[test]
    fn a_convolution_of_one_cell_is_the_product_with_the_middle_of_its_weight() {
        let x = var(&[1.0 + 0.4 * STEP], (1, 1));
        let mut weight = [0.0; 9];
        weight[4] = 1.0 + STEP;
        let w = var(&weight, (1, 9));
        for precision in [Precision::F32, Precision::Bf16] {
            let middle = w.narrow(1, 4, 1).unwrap();
            let product = precision.product(&x, &middle).unwrap().flatten_all();
            let cell = x.reshape((1, 1, 1, 1)).unwrap();
            let conv = precision.conv3x3(&cell, &w).unwrap().flatten_all();
            assert_eq!(
                conv.unwrap().to_vec1::<f32>().unwrap(),
                product.unwrap().to_vec1::<f32>().unwrap()
            );
        }
    }
}
