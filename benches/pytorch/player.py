"""The sampling loop of `src/engine` for the networks of model.py."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model import Config, Dynamics, Parameters, Tokenizer


@dataclass
class Sampling:
    """Sampler parameters, like `SamplerParams`."""

    steps: int = 4
    context_signal: float = 0.9
    temperature: float = 1.0


class Player:
    """Generates frames of one or more games from a checkpoint one by one."""

    def __init__(self, folder: Path, seed: int = 0, games: int = 1):
        self.config = Config(folder)
        self.tokenizer = Tokenizer(Parameters.read(folder / "tokenizer.safetensors"), self.config)
        parameters = Parameters.read(folder / "dynamics.safetensors")
        self.dynamics = Dynamics(parameters, self.config, games)
        self.games = games
        self.noise = torch.Generator().manual_seed(seed)
        self.channels = self.config.tokenizer["channels"]
        self.finest = self.config.step_index(self.config.dynamics["k_max"])

    @torch.inference_mode()
    def reset(self, images: np.ndarray, actions: np.ndarray, sampling: Sampling) -> None:
        """Starts all games from context frames u8 [T, H, W, 3]; only the last `context` of them are used."""
        context = self.config.dynamics["context"]
        self.frame = 0
        channels = self.channels * self.config.dynamics["stem_frames"]
        self.past = torch.zeros(self.games, *self.config.grid, channels)
        for image, action in zip(images[-context:], actions[-context:], strict=True):
            self.dynamics.begin_frame(self.frame, self.past, torch.full((self.games,), int(action)))
            self.write_cache(self.encode(image).expand(self.games, -1, -1, -1), sampling)

    @torch.inference_mode()
    def step(self, actions: list[int], sampling: Sampling) -> tuple[np.ndarray, list[float]]:
        """Returns the next frame of each game, u8 [B, H, W, 3], and the times at the start and after denoise, cache and decode."""
        times = [time.perf_counter()]
        self.dynamics.begin_frame(self.frame, self.past, torch.tensor(actions))
        x = self.sample(sampling)
        times.append(time.perf_counter())
        self.write_cache(x, sampling)
        times.append(time.perf_counter())
        image = self.tokenizer.decode(x).numpy()
        times.append(time.perf_counter())
        return image, times

    @torch.inference_mode()
    def encode(self, image: np.ndarray) -> Tensor:
        """The latent [1, gh, gw, c] of a frame u8 [H, W, 3]."""
        return self.tokenizer.encode(torch.from_numpy(image).unsqueeze(0))

    def normal(self) -> Tensor:
        return torch.randn(self.games, *self.config.grid, self.channels, generator=self.noise)

    def sample(self, sampling: Sampling) -> Tensor:
        steps = sampling.steps
        step = self.config.step_index(steps)
        z = self.normal().mul_(sampling.temperature)
        for k in range(steps):
            x = self.dynamics.denoise(z, k / steps, step)
            # d/(1 - tau) = 1/(steps - k), so the last step sets z to x^.
            z = torch.lerp(z, x, 1.0 / (steps - k))
        return z

    def write_cache(self, x: Tensor, sampling: Sampling) -> None:
        signal = sampling.context_signal
        if signal < 1.0:
            x = x * signal + self.normal().mul_(1.0 - signal)
        self.dynamics.write_cache(x, signal, self.finest)
        if self.past.shape[-1]:
            self.past = torch.cat((x, self.past[..., : -self.channels]), -1)
        self.frame += 1
