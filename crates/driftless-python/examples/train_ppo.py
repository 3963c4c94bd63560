"""Trains Stable-Baselines3's PPO inside a learned world, and prints its returns as they grow.

    pip install stable-baselines3
    python train_ppo.py drive --frames 100000 --simulator drive

With --simulator it plays the real game at the end, which it has not seen.
"""

import argparse

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecFrameStack

import driftless


class Curve(BaseCallback):
    """Prints the mean return of the last 100 episodes after every rollout."""

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        episodes = self.model.ep_info_buffer
        if episodes:
            mean = sum(episode["r"] for episode in episodes) / len(episodes)
            print(f"{self.num_timesteps} frames, mean return {mean:.2f} of {len(episodes)} episodes", flush=True)


def stacked(games, seed, **kind):
    """Games, each of which shows its last four frames: one does not show which way things move."""
    return VecFrameStack(make_vec_env(lambda: driftless.make(**kind), n_envs=games, seed=seed), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--episode-frames", type=int, default=200)
    parser.add_argument("--simulator", help="name of the simulator to play at the end")
    parser.add_argument("--out", default="ppo", help="file of the trained policy")
    args = parser.parse_args()
    limits = {"max_episode_steps": args.episode_frames}
    games = stacked(args.games, seed=0, world=args.world, steps=2, **limits)
    model = PPO(
        "CnnPolicy", games, n_steps=128, batch_size=256, n_epochs=4, ent_coef=0.01, gamma=0.98, seed=0
    )
    model.learn(args.frames, callback=Curve())
    model.save(args.out)
    if args.simulator:
        real = stacked(1, seed=500, world=args.simulator, simulator=True, **limits)
        returns, _ = evaluate_policy(model, real, 30, deterministic=False, return_episode_rewards=True)
        interval = 1.96 * np.std(returns, ddof=1) / len(returns) ** 0.5
        print(f"in the simulator: {np.mean(returns):.1f} ± {interval:.1f} in {len(returns)} episodes")


if __name__ == "__main__":
    main()
