"""Measures the Gymnasium environments of the package `driftless`, beside a batched step in PyTorch.

    python environments.py speed --checkpoint DIR [--games 1,16,64] [--steps 4] [--threads 1]
    python environments.py memory --checkpoint DIR [--games 64] [--steps 1] [--frames 1000000]
"""

import argparse
import os
import time
from pathlib import Path
from statistics import median

import numpy as np

ROUNDS = 5


def actions(count: int, games: int, kinds: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(kinds, size=games) for _ in range(count)]


def make(args: argparse.Namespace, games: int):
    """Environments, begun."""
    import driftless

    envs = driftless.make(str(args.checkpoint), num_envs=games, steps=args.steps, threads=args.threads, seed=0)
    envs.reset(seed=0)
    return envs


def speed(args: argparse.Namespace) -> None:
    """Frames a second of all games: environments and PyTorch in turn, the median of the rounds."""
    import torch

    from player import Player, Sampling

    torch.set_num_threads(args.threads)
    contexts = np.load(args.checkpoint / "contexts.npz")
    for games in args.games:
        envs, twin = make(args, games), Player(args.checkpoint, games=games)
        sampling = Sampling(steps=args.steps)
        twin.reset(contexts["image"][0], contexts["action"][0], sampling)
        frames = max(args.frames // games, 4)
        held = actions(frames, games, len(twin.config.world["actions"]))
        players = {
            "driftless": lambda action: envs.step(action),
            "pytorch": lambda action: twin.step(action.tolist(), sampling),
        }
        rates = {name: [] for name in players}
        for _ in range(ROUNDS):
            for name, step in players.items():
                step(held[0])
                started = time.perf_counter()
                for action in held:
                    step(action)
                rates[name].append(games * frames / (time.perf_counter() - started))
        ours, theirs = (median(rates[name]) for name in ("driftless", "pytorch"))
        print(f"{games} games: driftless {ours:.0f} frames/s, pytorch {theirs:.0f}, {ours / theirs:.1f} times", flush=True)
        envs.close()


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(args: argparse.Namespace) -> None:
    """Resident memory as frames go by."""
    games = args.games[0]
    envs = make(args, games)
    held = actions(256, games, int(envs.single_action_space.n))
    started, done = time.perf_counter(), 0
    for part in range(11):
        while done < part * args.frames // 10:
            envs.step(held[done // games % len(held)])
            done += games
        print(f"{done} frames, {resident_mib():.1f} MiB, {time.perf_counter() - started:.0f} s", flush=True)


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, games, steps, frames in (("speed", "1,16,64", 4, 512), ("memory", "64", 1, 1_000_000)):
        command = commands.add_parser(name)
        command.add_argument("--checkpoint", type=Path, required=True)
        command.add_argument("--games", type=numbers, default=numbers(games))
        command.add_argument("--steps", type=int, default=steps)
        command.add_argument("--frames", type=int, default=frames, help="of all games together")
        command.add_argument("--threads", type=int, default=1, help="of each")
    args = parser.parse_args()
    {"speed": speed, "memory": memory}[args.command](args)


if __name__ == "__main__":
    main()
