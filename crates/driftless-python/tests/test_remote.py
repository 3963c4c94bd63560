"""Games on a server. tests/python.rs runs one; its address is in the environment."""

import os

import numpy as np
import pytest

import driftless

SERVER = os.environ.get("DRIFTLESS_TEST_SERVER")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no server")


def play(envs, seed):
    """Frames, rewards and ends of a reset and some steps."""
    frames, _ = envs.reset(seed=seed)
    seen = [frames]
    envs.action_space.seed(seed)
    for _ in range(6):
        seen += envs.step(envs.action_space.sample())[:4]
    return seen


@pytest.mark.parametrize("world", ["pong", "steer"])
def test_games_are_the_same_as_here(world):
    here = driftless.make(world, num_envs=2, steps=1)
    there = driftless.make(world, num_envs=2, steps=1, remote=SERVER)
    assert there.action_names == here.action_names
    for seed in (3, 4):
        for one, other in zip(play(here, seed), play(there, seed)):
            np.testing.assert_array_equal(one, other)
    here.close()
    there.close()


def test_one_game_of_the_first_world():
    env = driftless.make(None, remote=SERVER, steps=2)
    assert env.world == "Pong" and env.settings["steps"] == 2
    frame, _ = env.reset(seed=0, options={"start": 0})
    following = env.step(1)[0]
    assert frame.shape == following.shape == (64, 64, 3)
    with pytest.raises(ValueError, match="no snapshots"):
        env.snapshot()
    env.close()


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        ({"world": "chess"}, ValueError, "no world `chess`"),
        ({"remote": "ftp://here"}, ValueError, "expected wss://"),
        ({"remote": "ws://127.0.0.1:1"}, ConnectionError, "127.0.0.1:1"),
        ({"token": "short"}, ValueError, "token"),
        ({"certificates": "missing.pem"}, OSError, "missing.pem"),
        ({"simulator": True}, ValueError, "no simulators"),
        ({"remote": None, "token": "a-token-of-some-length"}, ValueError, "expected remote"),
    ],
)
def test_wrong_servers_and_worlds_are_named(arguments, error, expected):
    arguments = {"world": "pong", "remote": SERVER, **arguments}
    with pytest.raises(error, match=expected):
        driftless.make(**arguments)
