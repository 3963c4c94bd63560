"""Environments: Gymnasium's own checks, repeatability, snapshots, and what is refused."""

import threading
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import driftless


@pytest.fixture
def pong():
    envs = driftless.make("pong", num_envs=3, seed=0, steps=1)
    yield envs
    envs.close()


def play(envs, frames, seed=None):
    """Frames, rewards and ends of some steps under actions of a seed."""
    rng = np.random.default_rng(7)
    if seed is not None:
        envs.reset(seed=seed)
    seen = []
    for _ in range(frames):
        actions = rng.integers(0, envs.single_action_space.n, envs.num_envs)
        seen.append(envs.step(actions)[:4])
    return seen


def same(a, b):
    return all(np.array_equal(x, y) for one, two in zip(a, b) for x, y in zip(one, two))


@pytest.mark.parametrize(
    "kind",
    [
        {"world": "pong", "steps": 1},
        {"world": "steer", "steps": 1},
        {"world": "maze", "simulator": True},
        {"world": "steer", "simulator": True},
    ],
)
def test_gymnasium_accepts_the_environment(kind):
    env = driftless.make(**kind)
    with warnings.catch_warnings():
        # Frames need no render mode to be asked for.
        warnings.simplefilter("ignore")
        check_env(env, skip_render_check=True)
    env.close()


def test_seed_repeats_games(pong):
    first = play(pong, 12, seed=5)
    assert same(first, play(pong, 12, seed=5))
    assert not same(first, play(pong, 12, seed=6))
    frames, rewards, terminated, truncated = first[0]
    assert frames.shape == (3, 64, 64, 3) and frames.dtype == np.uint8
    assert rewards.shape == terminated.shape == truncated.shape == (3,)


def test_games_do_not_depend_on_each_other():
    alone = driftless.make("pong", num_envs=1, steps=1)
    many = driftless.make("pong", num_envs=4, steps=1, threads=2)
    frames = []
    for envs in (alone, many):
        envs.reset(seed=0, options={"start": 2})
        # The same seed for the first game of both.
        envs.start_from(0, frames_of_start(), np.zeros(8), seed=9)
        frames.append([envs.step(np.full(envs.num_envs, t % 3))[0][0] for t in range(10)])
    assert np.array_equal(*frames)


def frames_of_start():
    env = driftless.make("pong", steps=1)
    frames = [env.reset(seed=1)[0]] + [env.step(0)[0] for _ in range(7)]
    return np.stack(frames)


def test_snapshots_go_on_bit_for_bit(pong):
    play(pong, 5, seed=1)
    state = pong.snapshot()
    after = play(pong, 8)
    pong.restore(state)
    assert same(after, play(pong, 8))


def test_one_game_goes_on_in_all_places(pong):
    play(pong, 4, seed=3)
    frames = pong.restore(pong.same(1))
    assert np.array_equal(frames[0], frames[1]) and np.array_equal(frames[2], frames[1])
    frames = pong.step(np.array([0, 1, 1]))[0]
    assert np.array_equal(frames[1], frames[2]) and not np.array_equal(frames[0], frames[1])


def test_frames_of_a_step_stay_what_they_were(pong):
    first, _ = pong.reset(seed=0)
    kept = first.copy()
    pong.step(np.ones(3, int))
    assert np.array_equal(first, kept)


def test_ended_games_start_again_in_the_next_step():
    envs = driftless.make("drive", num_envs=2, simulator=True, max_episode_steps=4)
    first, _ = envs.reset(seed=0)
    for _ in range(3):
        assert not envs.step(np.zeros(2, int))[3].any()
    assert envs.step(np.zeros(2, int))[3].all()
    _, rewards, terminated, truncated, _ = envs.step(np.zeros(2, int))
    assert not (terminated | truncated).any() and not rewards.any()


def test_axes_steer_each_game():
    envs = driftless.make("steer", num_envs=3, simulator=True)
    assert envs.axis_names == ["steering", "gas"]
    assert envs.action_space.shape == (3, 2) and envs.action_space.dtype == np.float32
    envs.reset(seed=0, options={"start": 0})
    envs.restore(envs.same(0))
    steering = np.array([[-1.0, 1.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    for _ in range(10):
        frames = envs.step(steering)[0]
    assert np.array_equal(frames[1], frames[2]) and not np.array_equal(frames[0], frames[1])


def test_learned_axes_and_their_past_count():
    envs = driftless.make("steer", num_envs=1, steps=1)
    engine = driftless.Engine("steer", steps=1)
    past = np.stack([engine.reset(start=0)] + [engine.step(axes=[1.0, 0.5]) for _ in range(5)])
    axes = np.tile(np.float32([1.0, 0.5]), (6, 1))
    seen = []
    for before in (axes, -axes):
        envs.start_from(0, past, np.zeros(6), seed=3, axes=before)
        seen.append(envs.step(np.zeros((1, 2), np.float32))[0][0])
    envs.start_from(0, past, np.zeros(6), seed=3, axes=axes)
    seen.append(envs.step(np.ones((1, 2), np.float32))[0][0])
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])


@pytest.mark.parametrize(
    ("axes", "error", "expected"),
    [
        (np.zeros((2, 2), int), TypeError, "int64"),
        (np.zeros((2, 3)), ValueError, r"shape \(2, 3\), expected \(2, 2\)"),
        (np.full((2, 2), 1.5), ValueError, "axis 0 is 1.5"),
        (np.full((2, 2), np.nan), ValueError, "axis 0 is NaN"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes, error, expected):
    envs = driftless.make("steer", num_envs=2, steps=1)
    envs.reset(seed=0)
    with pytest.raises(error, match=expected):
        envs.step(axes)


def test_settings_are_live(pong):
    assert pong.settings["steps"] == 1
    pong.set_settings(steps=np.int64(2), context_signal=0.8)
    assert pong.settings["steps"] == 2
    with pytest.raises(ValueError, match="stepz"):
        pong.set_settings(stepz=3)
    with pytest.raises(ValueError, match="argument of reset"):
        pong.set_settings(seed=3)
    for impossible in [{"steps": 0}, {"temperature": -1.0}, {"context_signal": 2.0}]:
        with pytest.raises(ValueError, match=next(iter(impossible))):
            pong.set_settings(**impossible)
    assert pong.settings["steps"] == 2
    pong.reset(seed=0)


def test_snapshots_are_of_their_world():
    pong, breakout = (driftless.make(name, num_envs=1, steps=1) for name in ["pong", "breakout"])
    for envs in [pong, breakout]:
        envs.reset(seed=0)
    with pytest.raises(ValueError, match="another world.*pong.*breakout"):
        breakout.restore(pong.snapshot())
    engines = [driftless.Engine(name, threads=1) for name in ["pong", "breakout"]]
    for engine in engines:
        engine.reset()
    with pytest.raises(ValueError, match="another world"):
        engines[1].restore(engines[0].snapshot())


def test_frames_and_actions_are_not_converted_silently(pong):
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(TypeError, match="frames are float64, expected uint8"):
        pong.start_from(0, frame / 255.0, np.zeros(1, int))
    with pytest.raises(TypeError, match="actions are float64"):
        pong.start_from(0, frame, np.full(1, 1.7))
    for action in [-1, 2**32 + 1]:
        with pytest.raises(ValueError, match=f"action {action} is unknown"):
            pong.start_from(0, frame, np.full(1, action))
    with pytest.raises(ValueError, match="no frames"):
        pong.start_from(0, frame[:0], np.zeros(0, int))


def test_what_does_not_fit_is_refused(pong):
    with pytest.raises(gymnasium.error.ResetNeeded):
        pong.step(np.zeros(3, int))
    pong.reset(seed=0)
    with pytest.raises(TypeError, match="float64"):
        pong.step(np.zeros(3))
    with pytest.raises(ValueError, match="shape"):
        pong.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="action 99 is unknown"):
        pong.step(np.full(3, 99))
    with pytest.raises(ValueError, match="no world 'pongg', expected .*pong"):
        driftless.make("pongg")
    with pytest.raises(ValueError, match="no simulator"):
        driftless.make("pong", simulator=True)
    with pytest.raises(ValueError, match="num_envs"):
        driftless.make("pong", num_envs=0)
    with pytest.raises(ValueError, match="no device"):
        driftless.make("pong", device="abacus")
    with pytest.raises(ValueError, match="no starting scene"):
        pong.reset(options={"start": 10**6})
    with pytest.raises(ValueError, match="start is -1, expected 0"):
        pong.reset(options={"start": -1})
    with pytest.raises(ValueError, match="no option 'scene', expected: start"):
        pong.reset(options={"scene": 1})
    with pytest.raises(ValueError, match="game is -1"):
        pong.same(-1)
    pong.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        pong.step(np.zeros(3, int))


def test_world_without_rewards_says_so_once():
    envs = driftless.make("maze", num_envs=1, steps=1)
    envs.reset(seed=0)
    if envs._games.predicts_reward:
        pytest.skip("the included maze predicts rewards")
    with pytest.warns(UserWarning, match="no reward"):
        envs.step(np.zeros(1, int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.step(np.zeros(1, int))


def test_two_threads_cannot_share_an_environment():
    envs = driftless.make("pong", num_envs=8, steps=4, threads=1)
    envs.reset(seed=0)
    errors = []

    def run():
        try:
            for _ in range(30):
                envs.step(np.zeros(8, int))
        except RuntimeError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors and "another thread" in errors[0]
