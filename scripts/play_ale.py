#!/usr/bin/env python3
"""Lets agents that learned in the dream play the real Atari game, beside random and scripted players.

    pip install ale-py numpy, and the driftless package (docs/python.md)
    python scripts/play_ale.py --game pong --agent runs/a0/checkpoint runs/a1/checkpoint --episodes 30

Frames are made as collect_ale.py makes them, whose --crop, --size and --skip the world must have been
recorded with. Every player plays the same episodes; the score of one is the sum of its rewards. Means come
with 95 % intervals by Student's t.
"""

import argparse
import multiprocessing
import os
import sys

# Imported first: limits matrix libraries to one thread per worker.
import collecting
from collecting import RandomPolicy, area_weights, shrink

import numpy as np

import driftless
from atari.shared import SCREEN_WIDTH
from collect_ale import KNOWN, action_table, add_game_arguments, check_game, open_game

# 97.5 % quantile of Student's t for 1 to 30 degrees of freedom; beyond, that of the normal distribution is near.
STUDENT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
           2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]


class Game:
    """A game of ALE, in the frames of a recording."""

    def __init__(self, options, seed):
        self.ale = open_game(options["game"], seed)
        self.table = [row[0] for row in action_table(options["game"], self.ale)]
        self.crop, self.skip = options["crop"], options["skip"]
        self.rows = area_weights(self.crop[1] - self.crop[0], options["size"])
        self.columns = area_weights(SCREEN_WIDTH, options["size"])
        self.ale.reset_game()
        self.hold(0)  # the very first screen still has the title's colours

    def screen(self):
        return self.ale.getScreenRGB()[self.crop[0]:self.crop[1]]

    def hold(self, action):
        """Holds an action for a frame; returns the frame and the reward."""
        reward = sum(self.ale.act(self.table[action]) for _ in range(self.skip - 1))
        before = self.screen()
        reward += self.ale.act(self.table[action])
        frame = shrink(np.maximum(before, self.screen())[None], self.rows, self.columns)[0]
        return frame, reward


class Scripted:
    """A player that does not look at frames."""

    def __init__(self, policy, game):
        self.policy, self.game = policy, game

    def begin(self, frame):
        pass

    def act(self):
        return self.policy.act(self.game.ale.getRAM())

    def see(self, frame, action):
        pass


def player(options, name, folder, game, rng, seed):
    """One that plays an episode."""
    if name == "random":
        return Scripted(RandomPolicy(rng, len(game.table)), game)
    if name == "scripted":
        return Scripted(KNOWN[options["game"]].policy("follow", rng)[1], game)
    planned = options["planned_frames"] if name == "planning" else 0
    policy = "cloned" if name == "cloned" else "trained"
    return driftless.Agent(folder, policy=policy, planned_frames=planned, seed=seed)


def play(job):
    """The score of an episode, and how many frames it had."""
    options, name, folder, index = job
    rng = np.random.default_rng([options["seed"], index])
    seed = int(rng.integers(2**31 - 1))
    game = Game(options, seed)
    chooser = player(options, name, folder, game, rng, seed)
    frame, _ = game.hold(0)
    chooser.begin(frame)
    score, frames = 0.0, 0
    while frames < options["max_episode_frames"] and not game.ale.game_over():
        action = chooser.act()
        frame, reward = game.hold(action)
        chooser.see(frame, action)
        score += reward
        frames += 1
    return score, frames


def interval(values):
    """Mean, and half the width of its 95 % interval."""
    n = len(values)
    quantile = STUDENT[n - 2] if n - 2 < len(STUDENT) else 1.96
    return np.mean(values), quantile * np.std(values, ddof=1) / np.sqrt(n)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_game_arguments(parser)
    parser.add_argument("--agent", nargs="*", default=[], help="checkpoints with an agent, all of one game")
    parser.add_argument("--episodes", type=int, default=30, help="episodes of every player")
    parser.add_argument("--max-episode-frames", type=int, default=7000)
    parser.add_argument("--planned-frames", type=int, default=0,
                        help="also let every agent plan, and dream so many frames before each move")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes")
    args = parser.parse_args(argv)
    check_game(parser, args)
    args.frames = None
    collecting.check_arguments(parser, args, {"size": 8, "skip": 2, "episodes": 2, "planned_frames": 0})
    return args


def main(argv):
    args = parse(argv)
    options = {key: getattr(args, key) for key in
               ("game", "crop", "size", "skip", "seed", "max_episode_frames", "planned_frames")}
    players = [("random", None)] + [("scripted", None)] * (args.game in KNOWN)
    for folder in args.agent:
        try:
            driftless.Agent(folder)  # what is wrong with it is said before the first game
        except (ValueError, OSError) as error:
            sys.exit(f"--agent {folder}: {error}")
        players += [("cloned", folder), ("trained", folder)]
        players += [("planning", folder)] * (args.planned_frames > 0)
    print("| player | score | frames |\n|---|---:|---:|")
    scores = {}
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for name, folder in players:
            played = pool.map(play, [(options, name, folder, i) for i in range(args.episodes)], chunksize=1)
            scored, frames = zip(*played)
            scores.setdefault(name, []).extend(scored)
            mean, margin = interval(scored)
            who = name if folder is None else f"{name}, `{folder}`"
            print(f"| {who} | {mean:.2f} ± {margin:.2f} | {np.mean(frames):.0f} |", flush=True)
    for name, scored in scores.items():
        if len(args.agent) > 1 and name not in ("random", "scripted"):
            mean, margin = interval(scored)
            print(f"| {name}, all | {mean:.2f} ± {margin:.2f} | |")


if __name__ == "__main__":
    main(sys.argv[1:])
