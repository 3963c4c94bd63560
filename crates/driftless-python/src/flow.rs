//! Paths and solvers of the flow library, on arrays.

use numpy::ndarray::ArrayD;
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::prelude::*;

use driftless_flow::path::Path;
use driftless_flow::solver::{Grid, Method, solve as integrate};

use crate::error::{Error, Result};

fn path(name: &str) -> Result<Path> {
    match name {
        "linear" => Ok(Path::Linear),
        "cosine" => Ok(Path::Cosine),
        _ => Err(Error::Value(format!(
            "no path {name:?}, expected linear or cosine"
        ))),
    }
}

fn method(name: &str) -> Result<Method> {
    match name {
        "euler" => Ok(Method::Euler),
        "midpoint" => Ok(Method::Midpoint),
        "heun" => Ok(Method::Heun),
        "dormand-prince" => Ok(Method::DormandPrince),
        _ => Err(Error::Value(format!(
            "no solver {name:?}, expected euler, midpoint, heun or dormand-prince"
        ))),
    }
}

/// α, σ, dα/dτ and dσ/dτ of a path at a signal level.
#[pyfunction]
pub fn coefficients(name: &str, tau: f64) -> PyResult<(f64, f64, f64, f64)> {
    let at = path(name)?.at(tau).map_err(Error::from)?;
    Ok((at.alpha, at.sigma, at.alpha_dot, at.sigma_dot))
}

/// Integrates dz/dτ = velocity(z, τ) from one level to another; arrays are f32.
#[pyfunction]
#[pyo3(signature = (velocity, start, steps, solver = "euler", shift = 1.0, levels = (0.0, 1.0)))]
pub fn solve<'py>(
    py: Python<'py>,
    velocity: &Bound<'py, PyAny>,
    start: PyReadonlyArrayDyn<'py, f32>,
    steps: usize,
    solver: &str,
    shift: f64,
    levels: (f64, f64),
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let shape: Vec<usize> = start.as_array().shape().to_vec();
    let numbers: Vec<f32> = start.as_array().iter().copied().collect();
    let levels = Grid::Shifted { shift }
        .levels(steps, levels.0, levels.1)
        .map_err(Error::from)?;
    let array = |numbers: &[f32]| -> PyResult<_> {
        PyArray1::from_slice(py, numbers).reshape(shape.as_slice())
    };
    let mut call = |z: &Vec<f32>, tau: f64| -> Result<Vec<f32>> {
        let v = velocity.call1((array(z)?, tau))?;
        let v: PyReadonlyArrayDyn<'_, f32> = v
            .extract()
            .map_err(|_| Error::Type("the velocity returned no f32 array".to_owned()))?;
        let v: ArrayD<f32> = v.as_array().to_owned();
        if v.shape() != shape {
            let what = format!("the velocity has shape {:?}, expected {shape:?}", v.shape());
            return Err(Error::Value(what));
        }
        Ok(v.iter().copied().collect())
    };
    let end = integrate(method(solver)?, &levels, &numbers, &mut call)?;
    array(&end)
}
