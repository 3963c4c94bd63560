"""Plays a world with a policy and prints the mean return with its 95 % interval.

    python evaluate.py pong --policy random --episodes 30
    python evaluate.py maze --simulator --policy 1 --frames 200     # always action 1
"""

import argparse

import numpy as np

import driftless


def returns(envs, policy, episodes):
    """Returns of that many episodes, in the order in which they end."""
    rng = np.random.default_rng(0)
    envs.reset(seed=0)
    total = np.zeros(envs.num_envs)
    ended = []
    while len(ended) < episodes:
        if policy == "random":
            actions = rng.integers(0, envs.single_action_space.n, envs.num_envs)
        else:
            actions = np.full(envs.num_envs, int(policy))
        _, rewards, terminated, truncated, _ = envs.step(actions)
        total += rewards
        for game in np.flatnonzero(terminated | truncated):
            ended.append(total[game])
            total[game] = 0
    return np.array(ended[:episodes])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world")
    parser.add_argument("--simulator", action="store_true")
    parser.add_argument("--policy", default="random", help="random, or the number of an action")
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--frames", type=int, default=500, help="most frames of an episode")
    parser.add_argument("--games", type=int, default=8, help="games played together")
    args = parser.parse_args()
    if args.episodes < 2:
        parser.error("--episodes: expected 2 or more, for an interval")
    envs = driftless.make(
        args.world, args.games, simulator=args.simulator, max_episode_steps=args.frames
    )
    if envs.axis_names:
        parser.error(f"{args.world} has axes, and these policies choose actions alone")
    scores = returns(envs, args.policy, args.episodes)
    error = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
    print(f"{envs.world}: mean return {scores.mean():.2f} ± {error:.2f} over {len(scores)} episodes")


if __name__ == "__main__":
    main()
