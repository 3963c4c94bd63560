"""Training in PyTorch, eager or compiled, compared with `driftless train`.

    python train.py check --checkpoint DIR                       compares the batched networks with model.py
    python train.py bench --run DIR --data DIR [--stage dynamics|tokenizer] [--steps 60] [--threads 1] [--compile]
                                                                 frames/s of both

`bench` trains the run's network from scratch for a few steps with each, with the same shapes, batch,
noised copies, shortcut targets, AdamW and Muon, gradient clipping, averaged weights, f32 and number of
threads. Of the tokenizer's training it measures the part in which encoder and decoder are trained
together. PyTorch trains on random frames and latents, since its speed does not depend on them.
Self-generated context is used only late in a run and is left out of both. `--compile` also measures
PyTorch with the forward and backward passes of the network compiled by `torch.compile`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from model import Config, Dynamics, Parameters, Tokenizer, read_tensors
from network import Network, TokenizerNetwork

WARM_UP = 10  # steps that are not timed


def is_hidden(name: str, value: Tensor) -> bool:
    not_hidden = ("encoder.patch", "encoder.latent", "decoder.latent", "decoder.patch", "stem.conv",
                  "stem.signal", "token.signal", "head.out", "outcome.out", "skip")
    return name.endswith(".weight") and value.dim() == 2 and not name.startswith(not_hidden)


class Optimizer:
    """Muon for hidden matrices, AdamW for the rest, and averaged weights, as in crates/driftless-train/src/optimizer.rs."""

    def __init__(self, network: Network, s: dict):
        self.s, self.all = s, []
        for name, key in network.names.items():
            p = network.weights[key]
            self.all.append((p, is_hidden(name, p), torch.zeros_like(p), torch.zeros_like(p), p.detach().clone()))

    @torch.no_grad()
    def step(self, n: int) -> None:
        torch.nn.utils.clip_grad_norm_([p for p, *_ in self.all], self.s["grad_clip"])
        for p, muon, first, second, average in self.all:
            g = p.grad
            if muon:
                first.mul_(0.95).add_(g)
                g = g.add(first, alpha=0.95)
                tall = g.shape[0] > g.shape[1]
                x = g.t() if tall else g
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    gram = x @ x.t()
                    x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
                scale = 0.2 * max(g.shape) ** 0.5
                p.add_(x.t() if tall else x, alpha=-self.s["muon_learning_rate"] * scale)
            else:
                first.lerp_(g, 0.1)
                second.mul_(0.99).addcmul_(g, g, value=0.01)
                m = first / (1 - 0.9 ** (n + 1))
                v = (second / (1 - 0.99 ** (n + 1))).sqrt_().add_(1e-8)
                p.addcdiv_(m, v, value=-self.s["learning_rate"])
            average.lerp_(p, 1 - self.s["ema_decay"])
            p.grad = None


class TokenizerTrainer:
    """Trains encoder and decoder together, as crates/driftless-train/src/tokenizer.rs before the encoder is frozen."""

    def __init__(self, network: TokenizerNetwork, config: Config, s: dict, compiled: bool = False):
        self.config, self.s = config, s
        self.encode, self.decode = network.encode, network.decode
        if compiled:
            self.encode, self.decode = torch.compile(network.encode), torch.compile(network.decode)
        # The statistics are measured, not trained.
        network.names = {name: key for name, key in network.names.items() if not name.startswith("latent.")}
        self.optimizer = Optimizer(network, s["optimizer"])
        self.background = torch.rand(1, *config.world["image"], 3) * 2 - 1
        self.rarity = torch.rand(1, *config.world["image"], 1) + 1

    def shifted(self, images: Tensor, axis: int, shift: int) -> Tensor:
        """Shifted one way, then the other, edges repeated."""
        size = images.shape[axis]
        first, last = images.narrow(axis, 0, 1), images.narrow(axis, size - 1, 1)
        ahead = torch.cat([*[first] * shift, images.narrow(axis, 0, size - shift)], axis)
        behind = torch.cat([images.narrow(axis, shift, size - shift), *[last] * shift], axis)
        return torch.cat([ahead, behind])

    def step(self, n: int) -> int:
        s = self.s
        count, some = s["batch_size"], s["batch_size"] // 4
        images = torch.randint(256, (count, *self.config.world["image"], 3), dtype=torch.uint8).float() / 127.5 - 1
        shift = int(torch.randint(1, s["max_curvature_shift"] + 1, ()))
        raw = self.encode(torch.cat([images, self.shifted(images[:some], 1 + int(torch.randint(2, ())), shift)]))
        own = raw[:count]
        centred = own - own.mean(0, keepdim=True)
        std = (centred.square().mean((0, 1, 2)) + 1e-8).sqrt()
        bend = (own[:some] - (raw[count : count + some] + raw[count + some :]) * 0.5) / std
        z = centred / std
        error = (self.decode(z + torch.randn_like(z) * s["latent_noise"]) - images).square()
        far = ((images - self.background).abs().amax(3, keepdim=True) > 0.1).float()
        loss = (error * (far * self.rarity * s["foreground_weight"] + 1)).mean() + bend.square().mean() * s["curvature_weight"]
        loss.backward()
        self.optimizer.step(n)
        return count


class Trainer:
    def __init__(self, network: Network, config: Config, s: dict, compiled: bool = False):
        self.network, self.config, self.s = network, config, s
        if compiled:
            self.network = torch.compile(network)
        self.optimizer = Optimizer(network, s["optimizer"])
        self.k_max = config.dynamics["k_max"]

    def past(self, x: Tensor) -> Tensor:
        frames = [F.pad(x, (0, 0, 0, 0, 0, 0, n, 0))[:, : x.shape[1]]
                  for n in range(1, self.config.dynamics["stem_frames"] + 1)]
        return torch.cat(frames, -1)

    def level(self, tau: Tensor) -> Tensor:
        return tau[..., None, None, None]

    def noised(self, latents: Tensor, shortcut: bool):
        b, t = latents.shape[:2]
        longest = self.k_max.bit_length() - 1
        steps = 2 ** torch.randint(longest, (b, t)) if shortcut else torch.full((b, t), self.k_max)
        u = torch.rand(b, t).square()
        tau = torch.minimum((u * steps).floor(), steps - 1.0) / steps
        if not shortcut:
            tau = torch.where(torch.rand(b, t) < self.s["off_grid_fraction"], u, tau)
        tau = torch.where(torch.rand(b, t) < self.s["pure_noise_fraction"], 0.0, tau)
        z = self.level(1 - tau) * torch.randn_like(latents) + self.level(tau) * latents
        return z, tau, 1.0 / steps

    def predict(self, batch, copies):
        context, past, actions, signal = batch
        n = len(copies) + 1
        d = torch.cat([torch.full_like(signal, 1 / self.k_max), *[d for _, _, d in copies]], 1)
        steps = (1 / d).round().log2().long()
        x, outcome = self.network(
            torch.cat([context, *[z for z, _, _ in copies]], 1), past.repeat(1, n, 1, 1, 1),
            actions.repeat(1, n), torch.cat([signal, *[tau for _, tau, _ in copies]], 1), steps,
            context.shape[1])
        return x.split(context.shape[1], 1), outcome

    @torch.no_grad()
    def target(self, batch, z, tau, d):
        def velocity(z, tau):
            x = self.predict(batch, [(z, tau, d / 2)])[0][0]
            return (x - z) / self.level(1 - tau)

        first = velocity(z, tau)
        middle = z + first * self.level(d / 2)
        second = velocity(middle, tau + d / 2)
        return z + self.level(1 - tau) * (first + second) / 2

    def step(self, n: int) -> int:
        s, c = self.s, self.config
        b, t = s["batch_size"], s["sequence_length"]
        latents = torch.randn(b, t, *c.grid, c.tokenizer["channels"])
        actions = torch.randint(len(c.world["actions"]), (b, t))
        signal = s["min_context_signal"] + (1 - s["min_context_signal"]) * torch.rand(b, t)
        context = self.level(1 - signal) * torch.randn_like(latents) + self.level(signal) * latents
        batch = (context, self.past(context), actions, signal)
        shortcut = n % s["shortcut_every"] == s["shortcut_every"] - 1
        copies, targets = [], []
        for i in range(s["noised_copies"]):
            short = shortcut and i == s["noised_copies"] - 1
            copies.append(self.noised(latents, short))
            targets.append(self.target(batch, *copies[-1]) if short else latents)
        outputs, outcome = self.predict(batch, copies)
        mask = (torch.arange(t) >= max(c.dynamics["stem_frames"], 1)).float()
        loss = sum((((x - y).square().mean((2, 3, 4)) * (0.9 * tau + 0.1)) * mask).sum() / (mask.sum() * b)
                   for x, y, (_, tau, _) in zip(outputs, targets, copies)) / s["noised_copies"]
        if outcome is not None:
            loss = loss + 0.1 * outcome[..., 0].square().mean()
            loss = loss + 0.1 * F.binary_cross_entropy_with_logits(outcome[..., 1], torch.zeros(b, t))
        loss.backward()
        self.optimizer.step(n)
        return b * t * s["noised_copies"]


def load(folder: Path) -> tuple[Network, Config]:
    config = Config(folder)
    return Network(read_tensors(folder / "dynamics.safetensors"), config), config


def trainer(args: argparse.Namespace, compiled: bool) -> Trainer | TokenizerTrainer:
    settings = read_settings(args.run / "settings.toml", args.stage)
    folder = args.run / "checkpoint"
    if args.stage == "dynamics":
        network, config = load(folder)
        return Trainer(network, config, settings, compiled)
    config = Config(folder)
    network = TokenizerNetwork(read_tensors(folder / "tokenizer.safetensors"), config)
    return TokenizerTrainer(network, config, settings, compiled)


def check(args: argparse.Namespace) -> None:
    """Checks that batches give the same as model.py frame by frame."""
    torch.manual_seed(0)
    network, config = load(args.checkpoint)
    tensors = read_tensors(args.checkpoint / "tokenizer.safetensors")
    tokenizer, frames = Tokenizer(Parameters(tensors), config), TokenizerNetwork(tensors, config)
    images = torch.randint(256, (3, *config.world["image"], 3), dtype=torch.uint8)
    with torch.inference_mode():
        raw = frames.encode(images.float() / 127.5 - 1)
        z = (raw - tokenizer.mean) / tokenizer.std
        pixels = (frames.decode(z) + 1).mul(127.5).add(0.5).clamp(0, 255).to(torch.uint8)
        gap = (tokenizer.encode(images) - z).abs().max().item()
        wrong = (tokenizer.decode(z).int() - pixels.int()).abs().max().item()
    print(f"tokenizer: latents differ by {gap:.1e}, pixels by {wrong}")
    games = 2
    single = Dynamics(Parameters.read(args.checkpoint / "dynamics.safetensors"), config, games)
    trainer = Trainer(network, config, {"optimizer": {}})
    t, signal, tau, step = 2 * config.dynamics["context"], 0.9, 0.25, 1
    clean, noisy = (torch.randn(games, t, *config.grid, config.tokenizer["channels"]) for _ in range(2))
    actions = torch.randint(len(config.world["actions"]), (games, t))
    past = trainer.past(clean)
    finest = config.step_index(config.dynamics["k_max"])
    level = lambda value: torch.full((games, t), value)
    with torch.inference_mode():
        x, _ = network(torch.cat((clean, noisy), 1), past.repeat(1, 2, 1, 1, 1), actions.repeat(1, 2),
                       torch.cat((level(signal), level(tau)), 1),
                       torch.cat((level(finest), level(step)), 1).long(), t)
        worst = 0.0
        for frame in range(t):
            single.begin_frame(frame, past[:, frame], actions[:, frame])
            worst = max(worst, (single.denoise(noisy[:, frame], tau, step) - x[:, frame]).abs().max().item())
            single.write_cache(clean[:, frame], signal, finest)
    print(f"{t} frames, largest difference {worst:.1e}")
    sys.exit(worst > 1e-3 or gap > 1e-3 or wrong > 1)


# Old names of the settings used here.
RENAMED = {
    "batch": "batch_size",
    "frames": "sequence_length",
    "copies": "noised_copies",
    "pure_noise": "pure_noise_fraction",
    "between": "off_grid_fraction",
    "context_signal": "min_context_signal",
    "foreground": "foreground_weight",
    "noise": "latent_noise",
    "curvature": "curvature_weight",
    "shift": "max_curvature_shift",
    "rate": "learning_rate",
    "muon_rate": "muon_learning_rate",
    "clip": "grad_clip",
    "ema": "ema_decay",
}


def read_settings(path: Path, stage: str) -> dict:
    settings = tomllib.loads(path.read_text())[stage]
    optimizer = settings.pop("optimizer")
    settings = {RENAMED.get(key, key): value for key, value in settings.items()}
    settings["optimizer"] = {RENAMED.get(key, key): value for key, value in optimizer.items()}
    return settings


def bench(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    twins = {"pytorch": trainer(args, False)}
    if args.compile:
        twins["compiled"] = trainer(args, True)
        # Plain and shortcut steps compile before they are timed.
        for n in range(4):
            twins["compiled"].step(n)
    times = {name: [] for name in ("driftless", *twins)}
    steps = dict.fromkeys(twins, 0)
    frames = 0
    for turn in range(args.turns):
        times["driftless"] += driftless(args)
        for name, twin in twins.items():
            for i in range(args.steps + WARM_UP):
                started = time.perf_counter()
                frames = twin.step(steps[name])
                steps[name] += 1
                if i >= WARM_UP:
                    times[name].append(time.perf_counter() - started)
    print(f"{args.stage}, torch {torch.__version__}, {args.threads} threads, {args.turns} turns of {args.steps} steps of {frames} frames")
    # Steps with and without shortcut targets differ, so the speed is that of all steps, not of the median.
    speed = {}
    for name, seconds in times.items():
        speed[name] = frames * len(seconds) / sum(seconds)
        print(f"{name:10} {speed[name]:7.1f} frames/s, {sum(seconds) / len(seconds):.3f} s per step, median {median(seconds):.3f}")
    for name in twins:
        print(f"ratio to {name:10} {speed['driftless'] / speed[name]:7.2f}")


def driftless(args: argparse.Namespace) -> list[float]:
    """Seconds per step of `driftless train`, from its log."""
    limits = {"RAYON_NUM_THREADS": str(args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "checkpoint").mkdir()
        if args.stage == "dynamics":
            tokenizer = (args.run / "checkpoint/tokenizer.safetensors").read_bytes()
            (out / "checkpoint/tokenizer.safetensors").write_bytes(tokenizer)
        config = out / "bench.toml"
        text = (args.run / "settings.toml").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("preview_minutes")]
        config.write_text("preview_minutes = 0.0\n" + "\n".join(lines) + "\n")
        steps = args.steps + WARM_UP + 1
        steps += (-steps + 1) % 20  # the log has every 20th step, starting with the first
        subprocess.run([args.driftless, "train", args.stage, "--data", str(args.data), "--out", str(out),
                        "--config", str(config), "--max-steps", str(steps)],
                       check=True, env={**os.environ, **limits}, stderr=subprocess.DEVNULL)
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    first, last = log[1], log[-1]
    count = last["step"] - first["step"]
    return [(last["seconds"] - first["seconds"]) / count] * count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("check")
    one.add_argument("--checkpoint", type=Path, required=True)
    one.set_defaults(do=check)
    two = commands.add_parser("bench")
    two.add_argument("--run", type=Path, required=True, help="a run of driftless train")
    two.add_argument("--data", type=Path, required=True)
    two.add_argument("--stage", choices=("dynamics", "tokenizer"), default="dynamics")
    two.add_argument("--compile", action="store_true", help="also measure torch.compile")
    two.add_argument("--driftless", default="target/release/driftless")
    two.add_argument("--steps", type=int, default=60)
    two.add_argument("--turns", type=int, default=2)
    two.add_argument("--threads", type=int, default=1)
    two.set_defaults(do=bench)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
