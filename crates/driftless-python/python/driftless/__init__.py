"""Learned worlds and simulators as Gymnasium environments, at the speed of the native engine.

>>> import driftless
>>> envs = driftless.make("pong", num_envs=8, seed=0)
>>> frames, info = envs.reset(seed=0)
>>> frames.shape
(8, 64, 64, 3)
"""

from . import flow
from .agent import Agent
from .engine import Engine
from .environments import Env, VectorEnv, make
from .worlds import find_world, worlds

__all__ = ["Agent", "Engine", "Env", "VectorEnv", "find_world", "flow", "make", "worlds"]
