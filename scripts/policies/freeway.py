"""A policy for ALE's Freeway for collect_gym.py: random held actions, up twice as likely as down.

    --env ALE/Freeway-v5 --policy scripts/policies/freeway.py

A player without a preference hardly ever gets across, and never shows what happens there.
"""


class Policy:
    def __init__(self, rng, names):
        self.rng = rng
        up, down = names.index("up"), names.index("down")
        self.choices = [0, up, up, down]
        self.left = 0

    def act(self, picture):
        if self.left == 0:
            self.action = int(self.rng.choice(self.choices))
            self.left = int(self.rng.integers(1, 25))
        self.left -= 1
        return self.action
