"""Trains Stable-Baselines3's PPO inside a learned world, and prints its returns as they grow.

    pip install stable-baselines3
    python train_ppo.py drive --frames 100000
"""

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--episode-frames", type=int, default=200)
    parser.add_argument("--out", default="ppo", help="file of the trained policy")
    args = parser.parse_args()
    games = make_vec_env(
        lambda: driftless.make(args.world, steps=2, max_episode_steps=args.episode_frames),
        n_envs=args.games,
        seed=0,
    )
    # One frame does not show which way things move.
    games = VecFrameStack(games, 4)
    model = PPO(
        "CnnPolicy", games, n_steps=128, batch_size=256, n_epochs=4, ent_coef=0.01, gamma=0.98, seed=0
    )
    model.learn(args.frames, callback=Curve())
    model.save(args.out)


if __name__ == "__main__":
    main()
