"""Agents that learned in a dream, in a game that Python plays."""

from __future__ import annotations

import os

import numpy as np

from ._driftless import Agent as _Agent
from .arrays import as_action, as_count, as_frames
from .worlds import find_world


class Agent:
    """An agent of a learned world, in the real game: it sees frames and chooses actions.

    Frames are as the world's own: its size, cropped and scaled as its recordings were.

        agent = driftless.Agent("runs/agent/checkpoint")
        agent.begin(first_frame)
        while playing:
            action = agent.act()
            agent.see(play(action), action)

    Args:
        world: a checkpoint folder with an agent, or a name that :func:`driftless.worlds` lists.
        policy: ``trained`` in the dream, or ``cloned`` from recorded play.
        planned_frames: frames that it dreams before each move; with 0 it follows its policy.
        seed: of the actions that it draws.
        threads: threads of the CPU.
    """

    def __init__(
        self,
        world: str | os.PathLike[str],
        policy: str = "trained",
        planned_frames: int = 0,
        seed: int = 0,
        threads: int = 1,
    ):
        self._agent = _Agent(
            find_world(world),
            policy,
            as_count("planned_frames", planned_frames),
            as_count("seed", seed),
            as_count("threads", threads),
        )
        self._has_begun = False

    @property
    def actions(self) -> list[str]:
        """Names of the actions; 0 is the idle one."""
        return self._agent.actions

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self._agent.image_size

    def begin(self, image: np.ndarray) -> None:
        """Shows the first frame of an episode, uint8 ``(height, width, 3)``."""
        self._agent.begin(as_frames(image))
        self._has_begun = True

    def see(self, image: np.ndarray, action: int) -> None:
        """Shows the frame that ``action`` led to, uint8 ``(height, width, 3)``."""
        self._check_begun()
        self._agent.see(as_frames(image), as_action(action))

    def act(self) -> int:
        """The next action.

        Raises:
            RuntimeError: before :meth:`begin`.
        """
        return self._decide()[0]

    @property
    def probabilities(self) -> np.ndarray:
        """The probability of each next action, float32 ``(actions,)``."""
        return np.array(self._decide()[1], np.float32)

    @property
    def value(self) -> float:
        """The discounted return that the agent expects from here on."""
        return self._decide()[2]

    @property
    def reward(self) -> float:
        """The reward that the agent reads from the last frame."""
        self._check_begun()
        return self._agent.reward()

    def _decide(self) -> tuple[int, list[float], float]:
        self._check_begun()
        return self._agent.decide()

    def _check_begun(self) -> None:
        if not self._has_begun:
            raise RuntimeError("the agent has seen no frame yet: call begin first")
