#!/usr/bin/env python3
"""Records episodes of an Atari game with ale-py (which ships the ROMs) as a dataset for Driftless.

    pip install ale-py numpy
    python scripts/collect_ale.py --game pong --frames 120000 --seed 1 --out data/pong

Frames are RGB, area-averaged to SIZE x SIZE, the maximum over the last two of SKIP emulated
frames, without sticky actions. action[t] is the action that led to image[t]; action[0] is 0.
Episode i depends on (seed, i) alone, so the number of worker processes changes nothing.
Pong episodes carry the true positions as extra arrays; docs/data.md describes everything.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

# One thread a worker: threads of matrix libraries that spin would fight the other workers.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import ale_py
import numpy as np
from ale_py import roms

SCREEN_WIDTH = 160
CHUNK = 256  # frames that are averaged down together

# Pong's RAM cells and sizes, in emulated pixels.
BALL_X, BALL_Y, ENEMY_Y, PLAYER_Y = 49, 54, 50, 51
BALL_SIZE = (2, 4)  # width, height
PADDLE_HEIGHT = 16
BALL_COLOUR, PLAYER_COLOUR, ENEMY_COLOUR = (236, 236, 236), (92, 186, 92), (213, 130, 74)
PLAYER_COLUMNS, ENEMY_COLUMNS = slice(140, 144), slice(16, 20)
PONG_ACTIONS = [  # ALE action, name, keys. In Pong ALE's RIGHT is up and LEFT is down.
    (0, "noop", []),
    (3, "up", ["ArrowUp", "W"]),
    (4, "down", ["ArrowDown", "S"]),
]
NOOP, UP, DOWN = 0, 1, 2


def action_table(game, ale):
    """ALE's minimal action set with names and keys; a chord of keys is joined by '+'."""
    if game == "pong":
        return PONG_ACTIONS
    parts = [("UP", "ArrowUp"), ("DOWN", "ArrowDown"), ("RIGHT", "ArrowRight"),
             ("LEFT", "ArrowLeft"), ("FIRE", "Space")]
    table = []
    for action in ale.getMinimalActionSet():
        held = [(word, key) for word, key in parts if word in action.name]
        name = "-".join(word.lower() for word, _ in held) or "noop"
        table.append((int(action), name, ["+".join(key for _, key in held)] if held else []))
    return table


def open_game(game, seed):
    """A loaded ALE without sticky actions."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    return ale


def area_weights(source, target):
    """[target, source]: row i averages the source pixels that target pixel i covers."""
    edges = np.arange(target + 1) * (source / target)
    low = np.maximum(edges[:-1, None], np.arange(source)[None])
    high = np.minimum(edges[1:, None], np.arange(source)[None] + 1)
    return (np.clip(high - low, 0, None) * (target / source)).astype(np.float32)


def shrink(frames, rows, columns):
    """Area average of u8 [N, H, W, 3] to [N, size, size, 3] by two matrix products."""
    n, h, w, _ = frames.shape
    size = rows.shape[0]
    tall = rows @ frames.astype(np.float32).reshape(n, h, w * 3)
    wide = columns @ tall.reshape(n * size, w, 3)
    return np.rint(wide).astype(np.uint8).reshape(n, size, size, 3)


class RandomPolicy:
    """A random action, held for a random number of frames."""

    def __init__(self, rng, actions, longest=16):
        self.rng, self.actions, self.longest = rng, actions, longest
        self.action, self.left = 0, 0

    def act(self, ram):
        if self.left == 0:
            self.action = int(self.rng.integers(self.actions))
            self.left = int(self.rng.integers(1, self.longest + 1))
        self.left -= 1
        return self.action


class FollowPolicy:
    """Pong: meets the ball at a random place of the paddle, wanders in between, and slips at times.

    Each approach of the ball draws a new aim and the place where the paddle starts to care; before
    that the paddle wanders at random, so that the ball does not tell where the paddle goes.
    """

    def __init__(self, rng):
        self.rng = rng
        self.wander = RandomPolicy(rng, 3, longest=7)
        self.slip = RandomPolicy(rng, 3, longest=5)
        self.slip_rate = rng.uniform(0.0, 0.035)
        self.spread = rng.uniform(4.0, 9.5)
        self.miss_rate = rng.uniform(0.0, 0.08)
        self.idle_rate = rng.uniform(0.1, 0.7)
        self.slipping = 0
        self.last = None
        self.draw()

    def draw(self):
        """A new approach: aim, and the ball's x from which the paddle follows."""
        rng = self.rng
        self.aim = rng.uniform(-self.spread, self.spread)
        if rng.random() < self.miss_rate:
            self.aim = rng.choice([-1, 1]) * rng.uniform(13.0, 40.0)
        self.care_from = rng.uniform(0.0, 85.0)
        self.idle = rng.random() < self.idle_rate  # stand still rather than wander

    def act(self, ram):
        ball_x, ball_y = int(ram[BALL_X]) - 48, int(ram[BALL_Y]) - 46
        paddle = int(ram[PLAYER_Y]) - 40
        last_x, last_y, last_paddle, last_vx = self.last or (ball_x, ball_y, paddle, 0)
        vx, vy, vp = ball_x - last_x, ball_y - last_y, paddle - last_paddle
        self.last = (ball_x, ball_y, paddle, vx)
        if vx > 0 >= last_vx:
            self.draw()
        if self.slipping > 0 or self.rng.random() < self.slip_rate:
            self.slipping = self.slipping - 1 if self.slipping else int(self.rng.integers(1, 6))
            return self.slip.act(ram)
        playing = ram[BALL_Y] != 0 and abs(vx) < 40
        if not (playing and vx > 0 and ball_x >= self.care_from):
            return NOOP if self.idle and self.rng.random() < 0.95 else self.wander.act(ram)
        # Where the ball will be when it arrives, walls ignored once it is close.
        ahead = min((142 - ball_x) / vx, 2.0) if ball_x < 142 else 0.0
        target = np.clip(ball_y + vy * ahead + self.aim, 2, 158)
        error = target - (paddle + 1.0 * vp)
        return NOOP if abs(error) < 5.0 else (UP if error < 0 else DOWN)


class MixPolicy:
    """Pong: follows, with stretches of random play of a length drawn for the episode."""

    def __init__(self, rng):
        self.rng = rng
        self.follow, self.random = FollowPolicy(rng), RandomPolicy(rng, 3)
        self.rate = rng.uniform(0.0, 0.0025)
        self.left = 0

    def act(self, ram):
        follow = self.follow.act(ram)  # always asked: it tracks the ball
        if self.left == 0 and self.rng.random() < self.rate:
            self.left = int(self.rng.integers(10, 60))
        if self.left > 0:
            self.left -= 1
            return self.random.act(ram)
        return follow


def choose_policy(name, game, rng, actions):
    """The policy of one episode, and the name under which the manifest counts it."""
    if game != "pong" or name == "random":
        return "random", RandomPolicy(rng, actions)
    if name == "follow":
        return "follow", FollowPolicy(rng)
    share = rng.random()
    if share < 0.06:
        return "random", RandomPolicy(rng, actions)
    return ("follow", FollowPolicy(rng)) if share < 0.56 else ("mix", MixPolicy(rng))


def visible_centre(top, height, rows):
    """Centre of the rows [top, top + height) that the crop shows, over both pooled frames.

    top is [T, 2] in rows of the crop; the result [T] is in rows, NaN where nothing shows.
    """
    low, high = np.clip(top, 0, rows), np.clip(top + height, 0, rows)
    seen = high > low
    low = np.where(seen, low, np.inf).min(1)
    high = np.where(seen, high, -np.inf).max(1)
    with np.errstate(invalid="ignore"):
        return np.where(seen.any(1), (low + high) / 2, np.nan)


def pong_truth(ram, pixels, crop, size):
    """True positions from RAM [T, 2, 128] (the two pooled frames), in pixels of the small frame.

    Pixel i's centre is at i. Objects cut by the crop's edge count with their visible part. A ball
    that the screen shows for one frame longer than RAM holds it is taken from the screen.
    """
    rows = crop[1] - crop[0]
    shift = crop[0] - 34  # the offsets below hold for a crop that starts at row 34
    ram = ram.astype(np.int64)
    in_play = (ram[..., BALL_Y] > 0) & (ram[..., BALL_X] < 205)
    gone = -1000
    left = np.where(in_play, ram[..., BALL_X] - 49, gone)
    top = np.where(in_play, ram[..., BALL_Y] - 48 - shift, gone)
    ball = np.stack([visible_centre(left, BALL_SIZE[0], SCREEN_WIDTH) * size / SCREEN_WIDTH,
                     visible_centre(top, BALL_SIZE[1], rows) * size / rows], 1) - 0.5
    shown = pixels[:, :2] * size / np.array([SCREEN_WIDTH, rows]) - 0.5
    ball = np.where(np.isnan(ball) | np.isnan(shown), shown, ball)
    player = 2 * ((ram[..., PLAYER_Y] - 47) // 2) - shift
    enemy = ram[..., ENEMY_Y] - 49 - shift
    centres = {name: visible_centre(top, PADDLE_HEIGHT, rows) * size / rows - 0.5
               for name, top in (("player_y", player), ("enemy_y", enemy))}
    return {"ball": ball.astype(np.float32),
            **{name: centre.astype(np.float32) for name, centre in centres.items()}}


def span_centre(mask):
    """Middle of the first and last true cell of [N, L], in cell edges; NaN where none is."""
    first, last = mask.argmax(1), mask.shape[1] - mask[:, ::-1].argmax(1)
    return np.where(mask.any(1), (first + last) / 2, np.nan)


def pong_pixels(frames):
    """Positions measured in cropped full-size frames u8 [N, H, 160, 3], in their pixels.

    A paddle that moved between the two pooled frames takes its colour's maximum with the
    background there, so each object is told by the one channel that stays its own.
    """
    ball = frames[..., 2] == BALL_COLOUR[2]
    player = (frames[:, :, PLAYER_COLUMNS, 1] == PLAYER_COLOUR[1]).any(2)
    enemy = (frames[:, :, ENEMY_COLUMNS, 0] == ENEMY_COLOUR[0]).any(2)
    return np.stack([span_centre(ball.any(1)), span_centre(ball.any(2)),
                     span_centre(player), span_centre(enemy)], 1)


def pong_measures(pixels, truth, ram, crop, size):
    """What the manifest sums over episodes: visible frames, hits, and errors against the pixels."""
    scale = np.array([SCREEN_WIDTH, *[crop[1] - crop[0]] * 3]) / size
    seen = pixels / scale - 0.5
    told = np.column_stack([truth["ball"], truth["player_y"], truth["enemy_y"]])
    errors = np.abs(seen - told)
    names = ("ball_x", "ball_y", "player_y", "enemy_y")
    x = ram[:, 1, BALL_X].astype(int)
    play = ~np.isnan(truth["ball"][:, 0])
    turned = play[2:] & play[1:-1] & play[:-2] & (np.diff(x)[:-1] > 0) & (np.diff(x)[1:] <= 0)
    met = play[2:] & play[1:-1] & play[:-2] & (np.diff(x)[:-1] < 0) & (np.diff(x)[1:] >= 0)
    return {
        "ball_visible": int(play.sum()),
        "player_hits": int((turned & (x[1:-1] > 150)).sum()),
        "enemy_hits": int((met & (x[1:-1] < 100)).sum()),
        "errors": {name: [float(np.nansum(errors[:, i])), int((~np.isnan(errors[:, i])).sum()),
                          float(np.nanmax(errors[:, i], initial=0.0)),
                          int((np.isnan(seen[:, i]) != np.isnan(told[:, i])).sum())]
                   for i, name in enumerate(names)},
    }


def record(job):
    """Plays and writes episode `index`; returns what the manifest needs."""
    options, index = job
    game, crop, size = options["game"], options["crop"], options["size"]
    rng = np.random.default_rng([options["seed"], index])
    ale = open_game(game, int(rng.integers(2**31 - 1)))
    table = [row[0] for row in action_table(game, ale)]
    policy_name, policy = choose_policy(options["policy"], game, rng, len(table))
    rows = area_weights(crop[1] - crop[0], size)
    columns = area_weights(SCREEN_WIDTH, size)
    pong = game == "pong"
    images, pixels, pending = [], [], []
    rams, actions, rewards = [], [0], [0.0]

    def flush():
        frames = np.stack(pending)
        pending.clear()
        images.append(shrink(frames, rows, columns))
        if pong:
            pixels.append(pong_pixels(frames))

    def hold(action):
        reward = sum(ale.act(table[action]) for _ in range(options["skip"] - 1))
        screen, ram = ale.getScreenRGB()[crop[0]:crop[1]], ale.getRAM()
        reward += ale.act(table[action])
        pending.append(np.maximum(screen, ale.getScreenRGB()[crop[0]:crop[1]]))
        rams.append([ram, ale.getRAM()])
        return reward

    ale.reset_game()
    hold(0)  # the very first screen still has the title's colours
    while len(actions) < options["max_episode_frames"] and not ale.game_over():
        action = policy.act(rams[-1][1])
        rewards.append(hold(action))
        actions.append(action)
        if len(pending) == CHUNK:
            flush()
    if pending:
        flush()

    t = len(actions)
    arrays = {
        "image": np.concatenate(images),
        "action": np.asarray(actions, np.int32),
        "reward": np.asarray(rewards, np.float32),
        "is_first": np.arange(t) == 0,
        "is_last": np.arange(t) == t - 1,
        "is_terminal": (np.arange(t) == t - 1) & ale.game_over(),
    }
    result = {"file": f"episode_{index:05d}.npz", "frames": t, "policy": policy_name,
              "reward": float(arrays["reward"].sum()), "points": int(np.abs(arrays["reward"]).sum()),
              "action_counts": np.bincount(arrays["action"], minlength=len(table)).tolist()}
    if pong:
        ram, pixels = np.asarray(rams), np.concatenate(pixels)
        truth = pong_truth(ram, pixels, crop, size)
        arrays.update(truth)
        result["pong"] = pong_measures(pixels, truth, ram, crop, size)
    write_atomically(Path(options["out"]) / result["file"],
                     lambda file: np.savez_compressed(file, **arrays))
    return result


def write_atomically(path, write):
    """Writes beside the target and renames: a reader never sees half a file."""
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


def manifest(options, args, results, seconds):
    """What was collected, by what, and how it measures."""
    frames = sum(r["frames"] for r in results)
    shares = {}
    for r in results:
        shares[r["policy"]] = shares.get(r["policy"], 0) + r["frames"]
    counts = np.sum([r["action_counts"] for r in results], 0)
    summary = {
        "command": "python scripts/collect_ale.py " + " ".join(args),
        "options": {key: value for key, value in options.items() if key != "out"},
        "ale_py": ale_py.__version__, "numpy": np.__version__,
        "python": sys.version.split()[0], "seconds": round(seconds, 1),
        "episodes": len(results), "frames": frames,
        "policy_share": {k: round(v / frames, 4) for k, v in sorted(shares.items())},
        "action_share": [round(int(c) / frames, 4) for c in counts],
        "points": sum(r["points"] for r in results),
    }
    pong = [r["pong"] for r in results if "pong" in r]
    if pong:
        summary["ball_visible_share"] = round(sum(p["ball_visible"] for p in pong) / frames, 4)
        summary["player_hits"] = sum(p["player_hits"] for p in pong)
        summary["enemy_hits"] = sum(p["enemy_hits"] for p in pong)
        summary["position_errors_px"] = {}
        for name in pong[0]["errors"]:
            total, count, worst, unmatched = zip(*(p["errors"][name] for p in pong))
            summary["position_errors_px"][name] = {
                "mean": round(sum(total) / max(sum(count), 1), 4), "max": round(max(worst), 3),
                "frames": sum(count), "only_one_sees_it": sum(unmatched)}
    summary["files"] = [{key: r[key] for key in ("file", "frames", "policy", "reward")}
                        for r in results]
    return summary


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="pong", help="ALE's name of the ROM, for example pong")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--frames", type=int, help="stop after the episode that reaches this many")
    amount.add_argument("--episodes", type=int, help="record this many episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder to write (must hold no episodes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crop", default="34,194", help="first and end row of the 210 to keep")
    parser.add_argument("--size", type=int, default=64, help="side of the frames in pixels")
    parser.add_argument("--skip", type=int, default=4, help="emulated frames an action is held")
    parser.add_argument("--policy", choices=["mix", "random", "follow"], default="mix",
                        help="mix and follow need pong; other games play random")
    parser.add_argument("--max-episode-frames", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes")
    args = parser.parse_args(argv)
    try:
        args.crop = tuple(int(row) for row in args.crop.split(","))
        first, end = args.crop
    except ValueError:
        parser.error("--crop: expected two rows, for example 34,194")
    if not 0 <= first < end <= 210:
        parser.error("--crop: expected 0 <= first < end <= 210")
    for name, least in (("size", 8), ("skip", 2), ("max_episode_frames", 2), ("jobs", 1), ("seed", 0)):
        if getattr(args, name) < least:
            parser.error(f"--{name.replace('_', '-')}: expected at least {least}")
    if (args.frames or args.episodes) < 1:
        parser.error("--frames, --episodes: expected at least 1")
    if roms.get_rom_path(args.game) is None:
        parser.error(f"--game {args.game}: ale-py ships no such ROM")
    if args.policy == "follow" and args.game != "pong":
        parser.error("--policy follow: only pong has a ball follower")
    return args


def main(argv):
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    if any(args.out.glob("*.npz")):
        sys.exit(f"{args.out}: already holds episodes; name an empty folder")
    options = {key: getattr(args, key) for key in
               ("game", "seed", "crop", "size", "skip", "policy", "max_episode_frames")}
    options["out"] = str(args.out)
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
    table = action_table(args.game, open_game(args.game, 0))
    write_json(args.out / "dataset.json", {
        "name": args.game.replace("_", " ").title(), "fps": 60.0 / args.skip,
        "image": [args.size, args.size],
        "actions": [{"name": name, "keys": keys} for _, name, keys in table]})
    summary = manifest(options, argv, results, time.time() - started)
    write_json(args.out / "manifest.json", summary)
    print(json.dumps({key: value for key, value in summary.items() if key != "files"}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
