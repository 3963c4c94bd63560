"""Flow matching: paths between noise and data, and solvers."""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np

from . import _driftless


class Coefficients(NamedTuple):
    """z = alpha x + sigma noise at a signal level, and the derivatives with respect to the level."""

    alpha: float
    sigma: float
    alpha_dot: float
    sigma_dot: float


def coefficients(tau: float, path: str = "linear") -> Coefficients:
    """The coefficients of a path at the signal level `tau`, from 0 (noise) to 1 (data).

    Args:
        tau: the signal level.
        path: ``linear`` (Lipman et al. 2023) or ``cosine`` (Albergo and Vanden-Eijnden 2023).
    """
    return Coefficients(*_driftless.coefficients(path, tau))


def interpolate(
    noise: np.ndarray, data: np.ndarray, tau: float, path: str = "linear"
) -> np.ndarray:
    """z_tau, between noise and data."""
    at = coefficients(tau, path)
    return at.alpha * np.asarray(data) + at.sigma * np.asarray(noise)


def velocity_of_clean(
    z: np.ndarray, clean: np.ndarray, tau: float, path: str = "linear"
) -> np.ndarray:
    """dz/dtau where a network predicts the clean data (x-prediction)."""
    at = coefficients(tau, path)
    noise = (np.asarray(z) - at.alpha * np.asarray(clean)) / max(at.sigma, 1e-6)
    return at.alpha_dot * np.asarray(clean) + at.sigma_dot * noise


def solve(
    velocity: Callable[[np.ndarray, float], np.ndarray],
    start: np.ndarray,
    steps: int,
    *,
    solver: str = "euler",
    shift: float = 1.0,
    levels: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Integrates dz/dtau = velocity(z, tau) between two signal levels.

    Args:
        velocity: takes z, float32 in the shape of `start`, and tau; returns an array of the same shape.
        start: the state at the first level.
        steps: their number.
        solver: ``euler``, ``midpoint``, ``heun`` or ``dormand-prince``.
        shift: above 1 the steps are denser near the noise (Esser et al. 2024, eq. 23).
        levels: the first and the last level. Falling ones go from data to noise.
    """
    start = np.ascontiguousarray(start, np.float32)

    def as_float32(z: np.ndarray, tau: float) -> np.ndarray:
        return np.ascontiguousarray(velocity(z, tau), np.float32)

    return _driftless.solve(as_float32, start, steps, solver, shift, levels)
