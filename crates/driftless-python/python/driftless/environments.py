"""Gymnasium environments."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from ._driftless import Games, Snapshot
from .arrays import as_actions, as_count, as_frames, as_json
from .worlds import SIMULATORS, find_world

_SEEDS = 2**63


def make(
    world: str | os.PathLike[str] | None,
    num_envs: int | None = None,
    *,
    simulator: bool = False,
    remote: str | None = None,
    token: str | None = None,
    certificates: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    threads: int = 0,
    seed: int | None = None,
    max_episode_steps: int | None = None,
    **settings: Any,
) -> VectorEnv | Env:
    """Makes an environment of a learned world or a simulator.

    Args:
        world: a checkpoint folder, or a name that :func:`driftless.worlds` lists. With `simulator`, the name
            of a built-in simulator: ``maze``, ``drive`` or ``steer``. With `remote`, the name of a world of the server,
            or ``None`` for its first one.
        num_envs: games that are played together, in a :class:`VectorEnv`; ``None`` makes an :class:`Env`.
        simulator: play the simulator itself instead of what was learned from it.
        remote: play on the server at this address, of ``driftless serve``: ``wss://HOST[:PORT]``, or ``ws://``
            without TLS. Each game is one of its players, without snapshots.
        token: the server's token.
        certificates: file (PEM) of certificates to trust instead of those that browsers trust.
        device: ``cpu``, ``auto``, ``wgpu``, ``wgpu-f16``, ``cuda`` or ``metal``. Several games need ``cpu``.
        threads: threads that compute; 0 takes one for each core.
        seed: seed of starting scenes and noise, until :meth:`reset` gets another.
        max_episode_steps: frames after which an episode is truncated.
        settings: sampler settings, ``steps=4`` for example; see :attr:`VectorEnv.settings`.

    Raises:
        ValueError: if there is no such world, or a value is out of its range.
        ConnectionError: if the server cannot be reached.
    """
    games = as_count("num_envs", num_envs if num_envs is not None else 1)
    threads = as_count("threads", threads)
    if games < 1:
        raise ValueError(f"num_envs is {num_envs}, expected 1 or more")
    if remote is not None:
        if simulator:
            raise ValueError("a server plays learned worlds, no simulators")
        name = None if world is None else str(world)
        opened = Games.remote(remote, name, games, token, certificates)
    elif token is not None or certificates is not None:
        raise ValueError("token and certificates are for a server: expected remote, too")
    elif world is None:
        raise TypeError("world is None, expected a name or a folder")
    else:
        opened = _open(world, games, simulator, device, threads)
    envs = VectorEnv(
        opened,
        seed=seed,
        max_episode_steps=max_episode_steps,
        **settings,
    )
    return envs if num_envs is not None else Env(envs)


def _open(
    world: str | os.PathLike[str], games: int, simulator: bool, device: str, threads: int
) -> Games:
    if simulator:
        if world not in SIMULATORS:
            raise ValueError(f"no simulator {world!r}, expected one of: {', '.join(SIMULATORS)}")
        return Games.simulated(str(world), games, threads)
    return Games.learned(find_world(world), games, device, threads)


class VectorEnv(gymnasium.vector.VectorEnv):
    """Games of one world that advance together.

    Observations are frames, uint8 ``(num_envs, height, width, 3)``, an array of their own in each step.
    Actions are discrete; 0 is the idle one, :attr:`action_names` has the names. In a world with axes that has
    but one of them, an action is where the axes are, float32 from -1 to 1, in the order of :attr:`axis_names`;
    in one with several, it is a pair of both. A learned world predicts rewards and ends of episodes. A game that has ended starts again in the next step, whatever its action is
    (``AutoresetMode.NEXT_STEP``).
    """

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array"],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    render_mode = "rgb_array"

    def __init__(
        self,
        games: Games,
        *,
        seed: int | None = None,
        max_episode_steps: int | None = None,
        **settings: Any,
    ):
        if max_episode_steps is not None and as_count("max_episode_steps", max_episode_steps) < 1:
            raise ValueError(f"max_episode_steps is {max_episode_steps}, expected 1 or more")
        self._games = games
        self._max_steps = max_episode_steps
        self.set_settings(**settings)
        self.num_envs = games.count
        height, width = games.image
        self.metadata = {**self.metadata, "render_fps": games.fps}
        self.single_observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.single_action_space = _action_space(len(games.actions), len(games.axes))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._rng = np.random.default_rng(seed)
        self._steps = np.zeros(self.num_envs, np.int64)
        self._restarting = np.ones(self.num_envs, bool)
        self._frames: np.ndarray | None = None
        self._warned = games.predicts_reward

    @property
    def world(self) -> str:
        """Name of the world."""
        return self._games.world

    @property
    def action_names(self) -> list[str]:
        """Names of the actions."""
        return self._games.actions

    @property
    def axis_names(self) -> list[str]:
        """Names of the axes."""
        return self._games.axes

    @property
    def device(self) -> str:
        """What computes: ``CPU, 1 thread``."""
        return self._games.label

    @property
    def settings(self) -> dict[str, Any]:
        """The sampler settings: steps, context_signal, temperature and so on."""
        self._check_open()
        settings = json.loads(self._games.settings())
        # Each game has a seed of its own.
        settings.pop("seed", None)
        return settings

    def set_settings(self, **settings: Any) -> None:
        """Changes sampler settings from the next frame on.

        Raises:
            ValueError: if there is no such setting, or its value has another type or is out of its range.
        """
        self._check_open()
        if "seed" in settings:
            raise ValueError("the seed is an argument of reset, not a setting")
        if settings:
            self._games.change_settings(as_json(settings))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts all games.

        Args:
            seed: seed of starting scenes and noise; the same one gives the same games.
            options: ``{"start": i}`` starts all games from the i-th starting scene.
        """
        self._check_open()
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        start = self._start(options or {})
        self._restarting[:] = True
        idle = np.zeros(self.num_envs, np.int64)
        rest = np.zeros((self.num_envs, len(self.axis_names)), np.float32)
        return self._advance(idle, rest, start)[0], {}

    def _start(self, options: dict[str, Any]) -> int | None:
        """The starting scene that `options` ask for."""
        for name in options:
            if name != "start":
                raise ValueError(f"no option {name!r}, expected: start")
        if options.get("start") is None:
            return None
        start = as_count("start", options["start"])
        if start >= self._games.starts:
            raise ValueError(f"no starting scene {start}, expected 0 to {self._games.starts - 1}")
        return start

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Lets every game act once.

        Args:
            actions: whole numbers ``(num_envs,)``, axes ``(num_envs, axes)``, or a pair of both, as in
                :attr:`action_space`.

        Returns:
            Frames, rewards (float64), terminated, truncated, and an empty dictionary.
        """
        self._check_open()
        if self._frames is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        actions, axes = self._checked(actions)
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self.world} predicts no reward; it is 0", stacklevel=2)
        frames, rewards, terminated = self._advance(actions, axes)
        truncated = np.zeros(self.num_envs, bool)
        if self._max_steps is not None:
            truncated = ~terminated & (self._steps >= self._max_steps)
        self._restarting = terminated | truncated
        return frames, rewards.astype(np.float64), terminated, truncated, {}

    def _advance(
        self, actions: np.ndarray, axes: np.ndarray, start: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seeds = self._rng.integers(0, _SEEDS, self.num_envs, np.uint64)
        # Drawn in any case, so that a game does not depend on when others end.
        clips = self._rng.integers(0, self._games.starts, self.num_envs, np.uint64)
        if start is not None:
            clips[:] = start
        starting = self._restarting
        frames, rewards, ended = self._games.advance(actions, axes, starting, seeds, clips)
        self._steps = np.where(starting, 0, self._steps + 1)
        self._restarting = np.zeros(self.num_envs, bool)
        self._frames = frames
        return frames, rewards, ended

    def _checked(self, actions: Any) -> tuple[np.ndarray, np.ndarray]:
        """Actions as int64 ``(num_envs,)``, and axes as float32 ``(num_envs, axes)``."""
        games, moving = self.num_envs, len(self.axis_names)
        if isinstance(self.single_action_space, spaces.Box):
            return np.zeros(games, np.int64), _axes(actions, (games, moving))
        if isinstance(self.single_action_space, spaces.Tuple):
            if not isinstance(actions, tuple) or len(actions) != 2:
                raise TypeError("expected a pair of actions and axes")
            return _discrete(actions[0], games), _axes(actions[1], (games, moving))
        return _discrete(actions, games), np.zeros((games, 0), np.float32)

    def start_from(
        self,
        game: int,
        images: np.ndarray,
        actions: np.ndarray,
        seed: int = 0,
        axes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Starts one game of a learned world from frames of your own.

        Args:
            game: its number.
            images: uint8 ``(T, height, width, 3)``.
            actions: whole numbers ``(T,)``; ``actions[t]`` led to frame t.
            seed: seed of its noise.
            axes: where the first axes were then, ``(T, axes)``; at rest if they are left out.

        Returns:
            The frames of all games.
        """
        self._check_open()
        images = as_frames(images)
        actions = as_actions(actions)
        axes = np.zeros((len(images), 0)) if axes is None else axes
        axes = np.ascontiguousarray(axes, np.float32)
        game = as_count("game", game)
        self._games.start_from(game, images, actions, axes, as_count("seed", seed))
        self._steps[game] = 0
        self._restarting[game] = False
        self._frames = self._games.frames()[0]
        return self._frames

    def snapshot(self) -> State:
        """Where all games are; :meth:`restore` goes on from there, bit for bit."""
        self._check_open()
        return State(
            self._games.snapshot(),
            self._steps.copy(),
            self._restarting.copy(),
            self._rng.bit_generator.state,
        )

    def same(self, game: int) -> State:
        """The state of one game in the place of every game: :meth:`restore` lets all go on from there."""
        self._check_open()
        return State(
            self._games.same(as_count("game", game)),
            np.full(self.num_envs, self._steps[game]),
            np.full(self.num_envs, self._restarting[game]),
            self._rng.bit_generator.state,
        )

    def restore(self, state: State) -> np.ndarray:
        """Puts all games where they were; returns their frames."""
        self._check_open()
        self._games.restore(state.games)
        self._steps = state.steps.copy()
        self._restarting = state.restarting.copy()
        self._rng.bit_generator.state = state.rng
        self._frames = self._games.frames()[0]
        return self._frames

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The frames of all games."""
        return None if self._frames is None else tuple(self._frames)

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the engines."""
        self._games.close()

    def _check_open(self) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError("the environment is closed")


class State:
    """Where the games of a :class:`VectorEnv` are."""

    def __init__(
        self,
        games: Snapshot,
        steps: np.ndarray,
        restarting: np.ndarray,
        rng: Any,
    ):
        self.games = games
        self.steps = steps
        self.restarting = restarting
        self.rng = rng


class Env(gymnasium.Env):
    """One game of a world: a :class:`VectorEnv` of one, without the first axis."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}

    def __init__(self, envs: VectorEnv):
        self._envs = envs
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": envs.metadata["render_fps"]}
        self.render_mode = "rgb_array"
        self.observation_space = envs.single_observation_space
        self.action_space = envs.single_action_space

    @property
    def world(self) -> str:
        """Name of the world."""
        return self._envs.world

    @property
    def action_names(self) -> list[str]:
        """Names of the actions."""
        return self._envs.action_names

    @property
    def axis_names(self) -> list[str]:
        """Names of the axes."""
        return self._envs.axis_names

    @property
    def settings(self) -> dict[str, Any]:
        """The sampler settings; see :meth:`set_settings`."""
        return self._envs.settings

    def set_settings(self, **settings: Any) -> None:
        """See :meth:`VectorEnv.set_settings`."""
        self._envs.set_settings(**settings)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """See :meth:`VectorEnv.reset`."""
        super().reset(seed=seed)
        frames, info = self._envs.reset(seed=seed, options=options)
        return frames[0], info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Acts once. After the end of an episode, :meth:`reset` comes first."""
        if isinstance(action, tuple):
            actions = tuple(np.asarray(part)[None] for part in action)
        else:
            actions = np.asarray(action)[None]
        frames, rewards, terminated, truncated, info = self._envs.step(actions)
        return frames[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def snapshot(self) -> State:
        """See :meth:`VectorEnv.snapshot`."""
        return self._envs.snapshot()

    def restore(self, state: State) -> np.ndarray:
        """See :meth:`VectorEnv.restore`."""
        return self._envs.restore(state)[0]

    def render(self) -> np.ndarray | None:
        """The frame."""
        frames = self._envs.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Frees the engine."""
        self._envs.close()


def _action_space(actions: int, axes: int) -> spaces.Space:
    """The space of one game's action."""
    moving = spaces.Box(-1.0, 1.0, (axes,), np.float32)
    if axes == 0:
        return spaces.Discrete(actions)
    return moving if actions == 1 else spaces.Tuple((spaces.Discrete(actions), moving))


def _discrete(actions: Any, games: int) -> np.ndarray:
    """Actions as int64 ``(games,)``."""
    actions = np.asarray(actions)
    if not np.issubdtype(actions.dtype, np.integer):
        raise TypeError(f"actions are {actions.dtype}, expected whole numbers")
    if actions.shape != (games,):
        raise ValueError(f"actions have shape {actions.shape}, expected ({games},)")
    return np.ascontiguousarray(actions, np.int64)


def _axes(axes: Any, shape: tuple[int, int]) -> np.ndarray:
    """Axes as float32 of this shape."""
    axes = np.asarray(axes)
    if not np.issubdtype(axes.dtype, np.floating):
        raise TypeError(f"axes are {axes.dtype}, expected floating-point numbers")
    if axes.shape != shape:
        raise ValueError(f"axes have shape {axes.shape}, expected {shape}")
    return np.ascontiguousarray(axes, np.float32)
