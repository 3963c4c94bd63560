"""The engine and the flow library."""

import numpy as np
import pytest

import driftless
from driftless import flow


def test_engine_plays_and_returns():
    engine = driftless.Engine("pong", threads=1, steps=2)
    assert engine.world == "Pong" and engine.actions[0] == "noop"
    first = engine.reset(start=1)
    assert first.shape == (*engine.image_size, 3)
    saved = engine.snapshot()
    frames = [engine.step(2) for _ in range(5)]
    assert np.array_equal(engine.restore(saved), first)
    assert all(np.array_equal(frame, engine.step(2)) for frame in frames)
    reward, end = engine.outcome
    assert np.isfinite(reward) and 0 <= end <= 1


def test_true_frame_surprises_less_than_another():
    engine = driftless.Engine("pong", threads=1)
    image = engine.reset()
    assert engine.surprise(image, 0) < engine.surprise(255 - image, 0)


def test_latents_hold_the_frame():
    engine = driftless.Engine("pong", threads=1)
    image = engine.reset()
    decoded = engine.decode(engine.encode(image[None]))[0]
    error = np.mean((decoded.astype(float) - image) ** 2)
    assert 10 * np.log10(255**2 / error) > 30


def test_bad_arguments_are_named():
    engine = driftless.Engine("pong", threads=1)
    with pytest.raises(ValueError, match="no starting clip"):
        engine.reset(start=10**6)
    with pytest.raises(ValueError, match="start is -1, expected 0"):
        engine.reset(start=-1)
    engine.reset()
    with pytest.raises(ValueError, match="the action is -1"):
        engine.step(-1)
    with pytest.raises(TypeError, match="the action is 1.0, expected a whole number"):
        engine.step(1.0)
    # What policies of other packages return.
    engine.step(np.array(1))
    with pytest.raises(ValueError, match="99"):
        engine.step(99)
    with pytest.raises(ValueError, match="shape"):
        engine.reset(images=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="expected uint8"):
        engine.surprise(np.zeros((64, 64, 3)))


def test_agents_are_refused_by_name():
    with pytest.raises(ValueError, match="maze contains no agent"):
        driftless.Agent("maze")
    with pytest.raises(ValueError, match="'trained' or 'cloned'"):
        driftless.Agent("maze", policy="best")
    with pytest.raises(RuntimeError, match="call begin first"):
        driftless.Agent("drive").act()


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_solvers_follow_the_path_to_a_point(path):
    """Towards a single point the velocity is known in closed form; every solver ends there."""
    rng = np.random.default_rng(0)
    noise, data = rng.standard_normal((2, 3, 4))
    for solver in ["euler", "midpoint", "heun", "dormand-prince"]:
        velocity = lambda z, tau: flow.velocity_of_clean(z, data, tau, path)
        end = flow.solve(velocity, noise, 200, solver=solver, levels=(0.0, 0.999))
        expected = flow.interpolate(noise, data, 0.999, path)
        assert np.abs(end - expected).max() < 0.02, solver


def test_derivatives_are_those_of_the_coefficients():
    for path in ["linear", "cosine"]:
        at, step = flow.coefficients(0.4, path), 1e-6
        after = flow.coefficients(0.4 + step, path)
        assert at.alpha_dot == pytest.approx((after.alpha - at.alpha) / step, abs=1e-4)
        assert at.sigma_dot == pytest.approx((after.sigma - at.sigma) / step, abs=1e-4)


def test_errors_of_the_callback_come_through():
    def broken(z, tau):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        flow.solve(broken, np.zeros(3), 4)
    with pytest.raises(ValueError, match="shape"):
        flow.solve(lambda z, tau: z[:1], np.zeros(3), 4)
    with pytest.raises(ValueError, match="no solver"):
        flow.solve(lambda z, tau: z, np.zeros(3), 4, solver="rk")
