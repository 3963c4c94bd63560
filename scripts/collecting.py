"""Shared by the recording scripts: resizing frames, random play, files, worker processes.

Episode i depends only on (seed, i), so the number of worker processes does not change the data.
"""

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

# One thread per worker: spinning threads of matrix libraries would slow down the other workers.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np


def area_weights(source, target):
    """[target, source]: row i averages the source pixels that target pixel i covers."""
    edges = np.arange(target + 1) * (source / target)
    low = np.maximum(edges[:-1, None], np.arange(source)[None])
    high = np.minimum(edges[1:, None], np.arange(source)[None] + 1)
    return (np.clip(high - low, 0, None) * (target / source)).astype(np.float32)


def shrink(frames, rows, columns):
    """Area average of u8 [N, H, W, 3] by two matrix products, rows [h, H] and columns [w, W]."""
    n, h, w, _ = frames.shape
    height, width = rows.shape[0], columns.shape[0]
    tall = rows @ frames.astype(np.float32).reshape(n, h, w * 3)
    wide = columns @ tall.reshape(n * height, w, 3)
    return np.rint(wide).astype(np.uint8).reshape(n, height, width, 3)


class RandomPolicy:
    """A random action, held for a random number of frames."""

    def __init__(self, rng, actions, longest=16):
        self.rng, self.actions, self.longest = rng, actions, longest
        self.action, self.left = 0, 0

    def act(self, seen):
        if self.left == 0:
            self.action = int(self.rng.integers(self.actions))
            self.left = int(self.rng.integers(1, self.longest + 1))
        self.left -= 1
        return self.action


def episode_arrays(images, actions, rewards, terminal):
    """The arrays of an episode file; the first action and the first reward are 0."""
    t = len(actions)
    return {
        "image": images,
        "action": np.asarray(actions, np.int32),
        "reward": np.asarray(rewards, np.float32),
        "is_first": np.arange(t) == 0,
        "is_last": np.arange(t) == t - 1,
        "is_terminal": (np.arange(t) == t - 1) & terminal,
    }


def write_episode(folder, index, arrays, policy, actions):
    """Writes episode `index`; returns its manifest entry. `actions` is the number of actions."""
    file = f"episode_{index:05d}.npz"
    write_atomically(Path(folder) / file, lambda out: np.savez_compressed(out, **arrays))
    return {"file": file, "frames": len(arrays["action"]), "policy": policy,
            "reward": float(arrays["reward"].sum()),
            "action_counts": np.bincount(arrays["action"], minlength=actions).tolist()}


def write_atomically(path, write):
    """Writes a temporary file and renames it, so that a reader never sees a partial file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            write(file)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path, value):
    text = json.dumps(value, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def add_arguments(parser, max_episode_frames):
    """Adds the arguments that all recording scripts have."""
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--frames", type=int, help="stop after the episode that reaches this many")
    amount.add_argument("--episodes", type=int, help="record this many episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder to write (must not contain episodes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-episode-frames", type=int, default=max_episode_frames)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes")


def check_arguments(parser, args, least):
    """Exits with a message if a number is too small."""
    least = {"max_episode_frames": 2, "jobs": 1, "seed": 0, **least}
    for name, value in least.items():
        if getattr(args, name) < value:
            parser.error(f"--{name.replace('_', '-')}: expected at least {value}")
    if (args.frames if args.frames is not None else args.episodes) < 1:
        parser.error("--frames, --episodes: expected at least 1")


def open_folder(folder):
    """Creates the folder; exits with a message if it contains episodes."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.npz")):
        sys.exit(f"{folder}: already contains episodes; name an empty folder")


def collect(record, options, args):
    """Calls `record((options, i))` for i = 0, 1, ... until there is enough; returns the results."""
    started, results, total, index = time.time(), [], 0, 0
    with multiprocessing.Pool(args.jobs, maxtasksperchild=8) as pool:
        def wanted():
            return total < args.frames if args.frames else len(results) < args.episodes

        while wanted():
            batch = args.jobs * 2
            for result in pool.map(record, [(options, index + i) for i in range(batch)], 1):
                if wanted():
                    results.append(result)
                    total += result["frames"]
                else:  # one batch ran ahead of what was asked for
                    (args.out / result["file"]).unlink()
            index += batch
            print(f"\r{len(results)} episodes, {total} frames, {time.time() - started:.0f} s",
                  end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def manifest(script, argv, options, versions, results, seconds):
    """The manifest without the list of files, which the caller adds last."""
    frames = sum(r["frames"] for r in results)
    shares = {}
    for r in results:
        shares[r["policy"]] = shares.get(r["policy"], 0) + r["frames"]
    counts = np.sum([r["action_counts"] for r in results], 0)
    return {
        "command": " ".join(["python", f"scripts/{script}", *argv]),
        "options": {key: value for key, value in options.items() if key != "out"},
        **versions, "numpy": np.__version__,
        "python": sys.version.split()[0], "seconds": round(seconds, 1),
        "episodes": len(results), "frames": frames,
        "policy_share": {k: round(v / frames, 4) for k, v in sorted(shares.items())},
        "action_share": [round(int(c) / frames, 4) for c in counts],
    }


def write_dataset(folder, info, summary, results):
    """Writes dataset.json and manifest.json, and prints the latter without the files."""
    write_json(folder / "dataset.json", info)
    files = [{key: r[key] for key in ("file", "frames", "policy", "reward")} for r in results]
    write_json(folder / "manifest.json", {**summary, "files": files})
    print(json.dumps(summary, indent=2))
