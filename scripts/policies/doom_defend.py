"""A policy for ViZDoom's "defend the center" for collect_gym.py: turns to what stands out and shoots.

    --env VizdoomDefendCenter-v1 --env-arg max_buttons_pressed=2 --policy scripts/policies/doom_defend.py
"""

import numpy as np

# Rows of the 240 x 320 screen where monsters stand, above the hand. The background is nearly the same
# in every column.
ROWS = slice(118, 150)
DIFFERS = 40  # of 255, from the median of the row
AIMED = 14  # columns off the middle


class Policy:
    """Periods of aimed shots, of held random actions, and of turning one way without shooting."""

    def __init__(self, rng, names):
        self.rng, self.names = rng, names
        self.skill = rng.uniform(0.3, 1.0)
        self.mode, self.left, self.held = "random", 0, 0
        self.turn = "left"

    def draw(self):
        share = self.rng.random()
        self.left = int(self.rng.integers(10, 60))
        self.mode = "aim" if share < self.skill * 0.7 else ("turn" if share < 0.8 else "random")
        self.turn = str(self.rng.choice(["left", "right"]))
        self.shots = bool(self.rng.random() < 0.3)

    def act(self, picture):
        if self.left == 0:
            self.draw()
        self.left -= 1
        if self.mode == "random":
            if self.held == 0:
                self.action, self.held = int(self.rng.integers(len(self.names))), int(self.rng.integers(1, 12))
            self.held -= 1
            return self.action
        target = self.target(picture) if self.mode == "aim" else None
        if target is None:
            return self.press(self.turn, self.shots and self.rng.random() < 0.2)
        side = None if abs(target) < AIMED else ("left" if target < 0 else "right")
        return self.press(side, abs(target) < 2 * AIMED and self.rng.random() < 0.8)

    def press(self, side, shoot):
        held = [f"turn_{side}"] if side else []
        held += ["attack"] if shoot else []
        return self.names.index("-".join(held) or "noop")

    def target(self, picture):
        """Columns from the centre to the nearest object that stands out; None if there is none."""
        band = picture[ROWS].astype(int)
        far = np.abs(band - np.median(band, axis=1, keepdims=True)).max(-1) > DIFFERS
        columns = np.nonzero(far.sum(0) >= 6)[0]
        if not len(columns):
            return None
        off = columns - picture.shape[1] / 2
        return float(off[np.argmin(np.abs(off))])
