"""Plans in a learned world with the cross-entropy method, and plays what it has planned.

Before every few frames, all games are put where the played one is, and try sequences of actions drawn from a
distribution over them; the best tenth sharpens it (Rubinstein 1999). Only predicted rewards count.

    python plan.py pong --frames 200 --candidates 64 --horizon 20
"""

import argparse
import time

import numpy as np

import driftless


def plan(envs, state, horizon, rounds, rng):
    """The best sequence of actions found, and the return that the world predicts for it."""
    actions = envs.single_action_space.n
    chance = np.full((horizon, actions), 1 / actions)
    best = (-np.inf, None)
    elite = max(2, envs.num_envs // 10)
    for _ in range(rounds):
        draws = rng.random((envs.num_envs, horizon, 1))
        tried = (draws > chance.cumsum(1)[None]).sum(2).clip(0, actions - 1)
        envs.restore(state)
        scores = np.zeros(envs.num_envs)
        alive = np.ones(envs.num_envs, bool)
        for t in range(horizon):
            _, rewards, terminated, _, _ = envs.step(tried[:, t])
            scores += np.where(alive, rewards, 0) * 0.99**t
            alive &= ~terminated
        order = np.argsort(-scores)
        if scores[order[0]] > best[0]:
            best = (scores[order[0]], tried[order[0]])
        counts = np.stack([(tried[order[:elite]] == a).mean(0) for a in range(actions)], 1)
        chance = 0.2 * chance + 0.8 * (0.95 * counts + 0.05 / actions)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--horizon", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=5, help="frames that are played of a plan")
    parser.add_argument("--steps", type=int, default=1, help="sampling steps while planning")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.horizon < 1 or args.rounds < 1 or args.every < 1:
        parser.error("--horizon, --rounds and --every: expected 1 or more")
    played = min(args.every, args.horizon)
    rng = np.random.default_rng(args.seed)
    # One game, copied into all places: the first one is played, the others think.
    envs = driftless.make(args.world, args.candidates, steps=args.steps)
    if envs.axis_names:
        parser.error(f"{args.world} has axes, and these plans are of actions alone")
    envs.reset(seed=args.seed, options={"start": 0})
    state = envs.same(0)
    total, started = 0.0, time.perf_counter()
    for frame in range(0, args.frames, played):
        promised, actions = plan(envs, state, args.horizon, args.rounds, rng)
        envs.restore(state)
        for t in range(played):
            _, rewards, terminated, _, _ = envs.step(np.full(envs.num_envs, actions[t]))
            total += rewards[0]
        state = envs.same(0)
        print(f"frame {frame + played}: return {total:.2f}, promised {promised:.2f}")
        if terminated[0]:
            break
    print(f"return {total:.2f} in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
