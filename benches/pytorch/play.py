"""Runs a checkpoint in PyTorch: measures the speed, or checks that its frames match driftless.

    python play.py bench --checkpoint DIR [--steps 1,2,4,8] [--frames 300] [--threads 1]
    python play.py check --checkpoint DIR --episode FILE.npz [--driftless PATH]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from player import Player, Sampling

# As in `driftless bench`.
ROUNDS = 5
WARM_UP = 16
MAX_HELD = 16
STAGES = ("denoise", "cache", "decode")


def timing(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    rank = max(-(-len(ordered) * 95 // 100), 1)
    return {"median_ms": median(ordered) * 1e3, "p95_ms": ordered[rank - 1] * 1e3}


def held_actions(frames: int, kinds: int) -> list[int]:
    draw = random.Random(0)
    actions = []
    while len(actions) < frames:
        actions += [draw.randrange(kinds)] * draw.randint(1, MAX_HELD)
    return actions[:frames]


def bench(args: argparse.Namespace) -> None:
    """Prints one JSON object in the format of `driftless bench --json`."""
    player = Player(args.checkpoint)
    contexts = np.load(args.checkpoint / "contexts.npz")
    images, actions = contexts["image"][0], contexts["action"][0]
    player.reset(images, actions, Sampling())
    held = held_actions(WARM_UP + args.frames, len(player.config.world["actions"]))
    for k in args.steps:
        for action in held[:WARM_UP]:
            player.step([action], Sampling(steps=k))
    held = held[WARM_UP:]
    marks: dict[int, list[list[float]]] = {k: [] for k in args.steps}
    encodes = []
    for turn in range(ROUNDS):
        part = held[len(held) * turn // ROUNDS : len(held) * (turn + 1) // ROUNDS]
        for k in args.steps:
            sampling = Sampling(steps=k)
            marks[k] += [player.step([action], sampling)[1] for action in part]
        for _ in range(8):
            started = time.perf_counter()
            player.encode(images[0])
            encodes.append(time.perf_counter() - started)
    rows = []
    for k, all_times in marks.items():
        row = {"steps": k, "frame": timing([times[-1] - times[0] for times in all_times])}
        for i, stage in enumerate(STAGES):
            row[stage] = timing([times[i + 1] - times[i] for times in all_times])
        row["frames_per_second"] = 1e3 / row["frame"]["median_ms"]
        rows.append(row)
    report = {
        "engine": f"pytorch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "frames": args.frames,
        "encode": timing(encodes),
        "steps": rows,
    }
    print(json.dumps(report))


def check(args: argparse.Namespace) -> int:
    """Compares frames with those of `driftless rollout`, without noise."""
    player = Player(args.checkpoint)
    episode = np.load(args.episode)
    end = args.context + args.horizon
    actions = episode["action"][:end]
    same = True
    for k in args.steps:
        expected = rollout(args, k)
        sampling = Sampling(steps=k, context_signal=1.0, temperature=0.0)
        player.reset(episode["image"][: args.context], actions[: args.context], sampling)
        found = np.concatenate([player.step([int(a)], sampling)[0] for a in actions[args.context :]])
        error = np.abs(found.astype(int) - expected.astype(int))
        motion = np.abs(np.diff(expected.astype(int), axis=0)).max()
        differ, beyond = (np.count_nonzero(error > by) / error.size for by in (0, 1))
        same &= differ <= 10 * args.tolerance and beyond <= args.tolerance
        print(
            f"K = {k}: {len(found)} frames, largest difference {error.max()} of 255, "
            f"{differ:.1e} of the values differ, {beyond:.1e} by more than 1 "
            f"(frame to frame they change by up to {motion})"
        )
    print("frames match" if same else "frames DIFFER")
    return 0 if same else 1


def rollout(args: argparse.Namespace, steps: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rollout.npz"
        numbers = {
            "--context": args.context,
            "--horizon": args.horizon,
            "--steps": steps,
            "--temperature": 0,
            "--context-signal": 1,
        }
        flags = [str(word) for pair in numbers.items() for word in pair]
        paths = ["--checkpoint", args.checkpoint, "--episode", args.episode, "--out", out]
        subprocess.run([args.driftless, "rollout", *flags, *paths], check=True)
        return np.load(out)["image"]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("bench", "check"):
        command = commands.add_parser(name)
        command.add_argument("--checkpoint", type=Path, required=True)
        command.add_argument("--steps", type=numbers, default=[1, 2, 4, 8])
        command.add_argument("--threads", type=int, default=1)
        if name == "bench":
            command.add_argument("--frames", type=int, default=300)
        else:
            command.add_argument("--episode", type=Path, required=True)
            command.add_argument("--context", type=int, default=12)
            command.add_argument("--horizon", type=int, default=32)
            command.add_argument("--driftless", default="target/release/driftless")
            command.add_argument(
                "--tolerance",
                type=float,
                default=1e-3,
                help="fraction of the values that may differ by more than 1; ten times as many may differ by 1",
            )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.command == "check":
        return check(args)
    bench(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
