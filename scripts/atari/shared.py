"""Shared by the games with known positions: a mixed policy, and positions on the screen."""

import numpy as np

from collecting import RandomPolicy

SCREEN_WIDTH = 160
GONE = -1000  # an edge far outside every crop


class MixPolicy:
    """Follows the ball, interrupted by random play at a rate drawn per episode."""

    def __init__(self, rng, follow, actions, highest_rate):
        self.rng, self.follow, self.random = rng, follow, RandomPolicy(rng, actions)
        self.rate = rng.uniform(0.0, highest_rate)
        self.left = 0

    def act(self, ram):
        follow = self.follow.act(ram)  # always called, because it tracks the ball
        if self.left == 0 and self.rng.random() < self.rate:
            self.left = int(self.rng.integers(10, 60))
        if self.left > 0:
            self.left -= 1
            return self.random.act(ram)
        return follow


def visible_centre(top, height, rows):
    """Centre of the rows [top, top + height) that the crop shows, over both pooled frames.

    top is [T, 2] in rows of the crop; the result [T] is in rows, NaN where nothing is visible.
    """
    low, high = np.clip(top, 0, rows), np.clip(top + height, 0, rows)
    seen = high > low
    low = np.where(seen, low, np.inf).min(1)
    high = np.where(seen, high, -np.inf).max(1)
    with np.errstate(invalid="ignore"):
        return np.where(seen.any(1), (low + high) / 2, np.nan)


def span_centre(mask):
    """Centre between the first and last true cell of [N, L], in cell edges; NaN where there is none."""
    first, last = mask.argmax(1), mask.shape[1] - mask[:, ::-1].argmax(1)
    return np.where(mask.any(1), (first + last) / 2, np.nan)


def error_sums(pixels, told, crop, size, names):
    """Sum, count and maximum of the errors of `told` [T, N], in pixels of the small frame, against
    positions found in the full-size screens [T, N], and the frames where only one of them has one."""
    scale = np.array([SCREEN_WIDTH if name.endswith("x") else crop[1] - crop[0]
                      for name in names]) / size
    seen = pixels / scale - 0.5
    errors = np.abs(seen - told)
    return {name: [float(np.nansum(errors[:, i])), int((~np.isnan(errors[:, i])).sum()),
                   float(np.nanmax(errors[:, i], initial=0.0)),
                   int((np.isnan(seen[:, i]) != np.isnan(told[:, i])).sum())]
            for i, name in enumerate(names)}
