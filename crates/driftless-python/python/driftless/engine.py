"""The engine: one game, frame by frame, with everything that it tells."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._driftless import Engine as _Engine
from ._driftless import EngineState
from .arrays import as_action, as_actions, as_count, as_frames, as_json
from .worlds import find_world


class Engine:
    """Predicts the frames of a learned world from actions.

    Args:
        world: a checkpoint folder, or a name that :func:`driftless.worlds` lists.
        device: ``cpu``, ``auto``, ``wgpu``, ``wgpu-f16``, ``cuda`` or ``metal``.
        threads: threads of the CPU; 0 measures how many are fastest.
        settings: sampler settings, ``steps=4`` for example.
    """

    def __init__(
        self,
        world: str | os.PathLike[str],
        device: str = "cpu",
        threads: int = 0,
        **settings: Any,
    ):
        self._engine = _Engine(find_world(world), device, as_count("threads", threads))
        self.set_settings(**settings)

    @property
    def world(self) -> str:
        """Name of the world."""
        return self._engine.world

    @property
    def actions(self) -> list[str]:
        """Names of the actions; 0 is the idle one."""
        return self._engine.actions

    @property
    def starts(self) -> int:
        """Number of starting scenes."""
        return self._engine.starts

    @property
    def device(self) -> str:
        """What computes: ``CPU, 2 threads``."""
        return self._engine.label

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self._engine.image_size

    @property
    def settings(self) -> dict[str, Any]:
        """The sampler settings: steps, seed, context_signal, temperature and so on."""
        return json.loads(self._engine.settings())

    def set_settings(self, **settings: Any) -> None:
        """Changes sampler settings from the next frame on."""
        if settings:
            self._engine.change_settings(as_json(settings))

    def reset(
        self,
        start: int = 0,
        images: np.ndarray | None = None,
        actions: np.ndarray | None = None,
        axes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Starts over, from a starting scene or from frames of your own.

        Args:
            start: number of the starting scene.
            images: uint8 ``(T, height, width, 3)``, in place of a scene.
            actions: whole numbers ``(T,)``; ``actions[t]`` led to frame t. 0 if they are left out.
            axes: where the first axes were then, ``(T, axes)``, each from -1 to 1; at rest if they are left out.

        Returns:
            The last frame, uint8 ``(height, width, 3)``.
        """
        if images is None:
            self._engine.reset(as_count("start", start))
        else:
            images = as_frames(images)
            if actions is None:
                actions = np.zeros(len(images), np.uint32)
            if axes is None:
                axes = np.zeros((len(images), 0))
            axes = np.ascontiguousarray(axes, np.float32)
            self._engine.reset_to(images, as_actions(actions), axes)
        return self.image

    @property
    def axes(self) -> list[str]:
        """Names of the axes, which move while any action is played."""
        return self._engine.axes

    def step(self, action: int = 0, axes: Sequence[float] | None = None) -> np.ndarray:
        """Predicts the next frame, uint8 ``(height, width, 3)``.

        Args:
            action: the discrete action.
            axes: where the first axes are, each from -1 to 1; the others are at rest.
        """
        return self._engine.step(as_action(action), axes)

    @property
    def image(self) -> np.ndarray:
        """The last frame, uint8 ``(height, width, 3)``."""
        return self._engine.image()

    @property
    def outcome(self) -> tuple[float, float] | None:
        """Predicted reward, and probability that the episode ended; ``None`` if the world predicts none."""
        return self._engine.outcome()

    def surprise(
        self, image: np.ndarray, action: int = 0, axes: Sequence[float] | None = None
    ) -> float:
        """How surprising a frame would be as the next one: mean squared error of its predicted latent."""
        return self._engine.surprise(as_frames(image), as_action(action), axes)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Latents of frames: uint8 ``(N, height, width, 3)`` to float32 ``(N, numbers)``."""
        return self._engine.encode(as_frames(images))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Frames of latents: float32 ``(N, numbers)`` to uint8 ``(N, height, width, 3)``."""
        return self._engine.decode(np.ascontiguousarray(latents, np.float32))

    def snapshot(self) -> EngineState:
        """The state; :meth:`restore` goes on from there, bit for bit."""
        return self._engine.snapshot()

    def restore(self, saved: EngineState) -> np.ndarray:
        """Returns to a state; returns its frame."""
        self._engine.restore(saved)
        return self.image
