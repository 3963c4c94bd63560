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
import sys
import time

# First: it keeps matrix libraries to one thread a worker.
import collecting
from collecting import RandomPolicy, area_weights, shrink

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

    arrays = collecting.episode_arrays(np.concatenate(images), actions, rewards, ale.game_over())
    measures = {"points": int(np.abs(arrays["reward"]).sum())}
    if pong:
        ram, pixels = np.asarray(rams), np.concatenate(pixels)
        truth = pong_truth(ram, pixels, crop, size)
        arrays.update(truth)
        measures["pong"] = pong_measures(pixels, truth, ram, crop, size)
    written = collecting.write_episode(options["out"], index, arrays, policy_name, len(table))
    return {**written, **measures}


def manifest(options, argv, results, seconds):
    """What was collected, by what, and how it measures."""
    summary = collecting.manifest("collect_ale.py", argv, options, {"ale_py": ale_py.__version__},
                                  results, seconds)
    summary["points"] = sum(r["points"] for r in results)
    pong = [r["pong"] for r in results if "pong" in r]
    if pong:
        visible = sum(p["ball_visible"] for p in pong)
        summary["ball_visible_share"] = round(visible / summary["frames"], 4)
        summary["player_hits"] = sum(p["player_hits"] for p in pong)
        summary["enemy_hits"] = sum(p["enemy_hits"] for p in pong)
        summary["position_errors_px"] = {}
        for name in pong[0]["errors"]:
            total, count, worst, unmatched = zip(*(p["errors"][name] for p in pong))
            summary["position_errors_px"][name] = {
                "mean": round(sum(total) / max(sum(count), 1), 4), "max": round(max(worst), 3),
                "frames": sum(count), "only_one_sees_it": sum(unmatched)}
    return summary


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", default="pong", help="ALE's name of the ROM, for example pong")
    collecting.add_arguments(parser, max_episode_frames=2000)
    parser.add_argument("--crop", default="34,194", help="first and end row of the 210 to keep")
    parser.add_argument("--size", type=int, default=64, help="side of the frames in pixels")
    parser.add_argument("--skip", type=int, default=4, help="emulated frames an action is held")
    parser.add_argument("--policy", choices=["mix", "random", "follow"], default="mix",
                        help="mix and follow need pong; other games play random")
    args = parser.parse_args(argv)
    try:
        args.crop = tuple(int(row) for row in args.crop.split(","))
        first, end = args.crop
    except ValueError:
        parser.error("--crop: expected two rows, for example 34,194")
    if not 0 <= first < end <= 210:
        parser.error("--crop: expected 0 <= first < end <= 210")
    collecting.check_arguments(parser, args, {"size": 8, "skip": 2})
    if roms.get_rom_path(args.game) is None:
        parser.error(f"--game {args.game}: ale-py ships no such ROM")
    if args.policy == "follow" and args.game != "pong":
        parser.error("--policy follow: only pong has a ball follower")
    return args


def main(argv):
    args = parse(argv)
    collecting.open_folder(args.out)
    options = {key: getattr(args, key) for key in
               ("game", "seed", "crop", "size", "skip", "policy", "max_episode_frames")}
    options["out"] = str(args.out)
    started = time.time()
    results = collecting.collect(record, options, args)
    table = action_table(args.game, open_game(args.game, 0))
    info = {"name": args.game.replace("_", " ").title(), "fps": 60.0 / args.skip,
            "image": [args.size, args.size],
            "actions": [{"name": name, "keys": keys} for _, name, keys in table]}
    summary = manifest(options, argv, results, time.time() - started)
    collecting.write_dataset(args.out, info, summary, results)


if __name__ == "__main__":
    main(sys.argv[1:])
