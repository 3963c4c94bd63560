#!/usr/bin/env python3
"""Records episodes of an Atari game with ale-py (which ships the ROMs) as a dataset for Driftless.

    pip install ale-py numpy
    python scripts/collect_ale.py --game pong --frames 120000 --seed 1 --out data/pong

Frames are RGB, area-averaged to SIZE x SIZE, the maximum over the last two of SKIP emulated
frames, without sticky actions. action[t] is the action that led to image[t]; action[0] is 0.
Episode i depends only on (seed, i), so the number of worker processes does not change the data.
Episodes of Pong and Breakout contain the true positions as extra arrays; see docs/data.md.
"""

import argparse
import sys
import time

# Imported first: limits matrix libraries to one thread per worker.
import collecting
from collecting import RandomPolicy, area_weights, shrink

import ale_py
import numpy as np
from ale_py import roms

from atari import breakout, pong
from atari.shared import SCREEN_WIDTH

# Games with policies that follow the ball, and with known positions.
KNOWN = {"pong": pong, "breakout": breakout}
CHUNK = 256  # frames that are averaged down together



def action_table(game, ale):
    """ALE's minimal action set with names and keys; '+' joins keys pressed together."""
    if game in KNOWN:
        return KNOWN[game].ACTIONS
    parts = [("UP", "ArrowUp"), ("DOWN", "ArrowDown"), ("RIGHT", "ArrowRight"),
             ("LEFT", "ArrowLeft"), ("FIRE", "Space")]
    table = []
    for action in ale.getMinimalActionSet():
        held = [(word, key) for word, key in parts if word in action.name]
        name = "-".join(word.lower() for word, _ in held) or "noop"
        table.append((int(action), name, ["+".join(key for _, key in held)] if held else []))
    return table


def open_game(game, seed):
    """An ALE with the game loaded, without sticky actions."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    return ale


def choose_policy(name, game, rng, actions):
    """The policy of one episode, and its name in the manifest."""
    if game not in KNOWN or name == "random":
        return "random", RandomPolicy(rng, actions)
    return KNOWN[game].policy(name, rng)


def record(job):
    """Plays and writes episode `index`; returns its manifest entry."""
    options, index = job
    game, crop, size = options["game"], options["crop"], options["size"]
    rng = np.random.default_rng([options["seed"], index])
    ale = open_game(game, int(rng.integers(2**31 - 1)))
    table = [row[0] for row in action_table(game, ale)]
    policy_name, policy = choose_policy(options["policy"], game, rng, len(table))
    rows = area_weights(crop[1] - crop[0], size)
    columns = area_weights(SCREEN_WIDTH, size)
    known = KNOWN.get(game)
    images, pixels, pending = [], [], []
    rams, actions, rewards = [], [0], [0.0]

    def flush():
        frames = np.stack(pending)
        pending.clear()
        images.append(shrink(frames, rows, columns))
        if known:
            pixels.append(known.screen(frames, crop))

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
    if known:
        ram, pixels = np.asarray(rams), np.concatenate(pixels)
        truth = known.truth(ram, pixels, crop, size)
        arrays.update(truth, can_start=np.isfinite(truth["ball"]).all(axis=1))
        measures["known"] = known.measures(pixels, truth, ram, crop, size)
    written = collecting.write_episode(options["out"], index, arrays, policy_name, len(table))
    return {**written, **measures}


def manifest(options, argv, results, seconds):
    """The manifest: settings, versions and statistics."""
    summary = collecting.manifest("collect_ale.py", argv, options, {"ale_py": ale_py.__version__},
                                  results, seconds)
    summary["points"] = sum(r["points"] for r in results)
    known = [r["known"] for r in results if "known" in r]
    if known:
        visible = sum(k["ball_visible"] for k in known)
        summary["ball_visible_share"] = round(visible / summary["frames"], 4)
        for name in known[0]:
            if name.endswith("_hits"):
                summary[name] = sum(k[name] for k in known)
        summary["position_errors_px"] = {}
        for name in known[0]["errors"]:
            total, count, worst, unmatched = zip(*(k["errors"][name] for k in known))
            summary["position_errors_px"][name] = {
                "mean": round(sum(total) / max(sum(count), 1), 4), "max": round(max(worst), 3),
                "frames": sum(count), "only_one_sees_it": sum(unmatched)}
    return summary


def add_game_arguments(parser):
    """Arguments that say which game is played, and what its frames are."""
    parser.add_argument("--game", default="pong", help="ALE's name for the ROM, for example pong")
    parser.add_argument("--crop", default="34,194", help="first row to keep and the row after the last, of 210")
    parser.add_argument("--size", type=int, default=64, help="side of the frames in pixels")
    parser.add_argument("--skip", type=int, default=4, help="emulated frames for which an action is held")


def check_game(parser, args):
    """Refuses a game that is not there; --crop becomes two numbers."""
    try:
        args.crop = tuple(int(row) for row in args.crop.split(","))
        first, end = args.crop
    except ValueError:
        parser.error("--crop: expected two rows, for example 34,194")
    if not 0 <= first < end <= 210:
        parser.error("--crop: expected 0 <= first < end <= 210")
    if roms.get_rom_path(args.game) is None:
        parser.error(f"--game {args.game}: ale-py ships no such ROM")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_game_arguments(parser)
    collecting.add_arguments(parser, max_episode_frames=2000)
    parser.add_argument("--policy", choices=["mix", "random", "follow"], default="mix",
                        help="mix and follow need pong or breakout; other games play at random")
    args = parser.parse_args(argv)
    check_game(parser, args)
    collecting.check_arguments(parser, args, {"size": 8, "skip": 2})
    if args.policy == "follow" and args.game not in KNOWN:
        parser.error("--policy follow: only pong and breakout have a ball follower")
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
