"""Breakout: actions, a policy that follows the ball, and positions of ball and paddle."""

import numpy as np

from collecting import RandomPolicy

from .shared import GONE, SCREEN_WIDTH, MixPolicy, error_sums, span_centre, visible_centre

# RAM cells, and sizes in emulated pixels.
BALL_X, BALL_Y, PLAYER_X = 99, 101, 72
BALL_SIZE = (2, 4)  # width, height
PADDLE_TOP, PADDLE_HEIGHT, PADDLE_WIDTH = 189, 4, 16
RED = (200, 72, 72)  # ball, paddle and the upper row of bricks
BRICKS_END, WALLS = 93, (8, 152)  # first row below the bricks; columns between the walls
ACTIONS = [  # ALE action, name, keys
    (0, "noop", []),
    (1, "fire", ["Space"]),
    (3, "right", ["ArrowRight", "D"]),
    (4, "left", ["ArrowLeft", "A"]),
]
NOOP, FIRE, RIGHT, LEFT = 0, 1, 2, 3


class FollowPolicy:
    """Serves after a pause, hits the ball with a random part of the paddle, moves randomly while the
    ball rises, and sometimes slips."""

    def __init__(self, rng):
        self.rng = rng
        self.wander = RandomPolicy(rng, len(ACTIONS), longest=8)
        self.slip_rate = rng.uniform(0.0, 0.03)
        self.miss_rate = rng.uniform(0.0, 0.08)
        self.idle_rate = rng.uniform(0.1, 0.7)
        self.slipping, self.pause = 0, int(rng.integers(0, 12))
        self.last = None
        self.draw()

    def draw(self):
        """Draws the aim for a new approach of the ball, and the row from which the paddle follows it."""
        self.aim = self.rng.uniform(-7.0, 7.0)
        if self.rng.random() < self.miss_rate:
            self.aim = self.rng.choice([-1, 1]) * self.rng.uniform(13.0, 40.0)
        self.care_from = self.rng.uniform(60.0, 130.0)
        self.idle = self.rng.random() < self.idle_rate

    def act(self, ram):
        x, y = int(ram[BALL_X]) - 48, int(ram[BALL_Y]) + 11
        paddle = int(ram[PLAYER_X]) - 47 + PADDLE_WIDTH / 2
        if ram[BALL_Y] == 0:
            self.last, self.pause = None, self.pause - 1
            if self.pause > 0:
                return self.wander.act(ram)
            return FIRE if self.rng.random() < 0.7 else self.wander.act(ram)
        self.pause = int(self.rng.integers(0, 12))
        last_x, last_y, last_vy = self.last or (x, y, 0)
        vx, vy = x - last_x, y - last_y
        self.last = (x, y, vy)
        if vy > 0 >= last_vy:
            self.draw()
        if self.slipping > 0 or self.rng.random() < self.slip_rate:
            self.slipping = self.slipping - 1 if self.slipping else int(self.rng.integers(1, 6))
            return self.wander.act(ram)
        if vy <= 0 or y < self.care_from:
            return NOOP if self.idle and self.rng.random() < 0.95 else self.wander.act(ram)
        # Where the ball will arrive, reflected by the walls.
        ahead = (PADDLE_TOP - y) / vy if y < PADDLE_TOP else 0.0
        span = WALLS[1] - WALLS[0]
        landing = (x + vx * ahead - WALLS[0]) % (2 * span)
        target = WALLS[0] + min(landing, 2 * span - landing) + self.aim
        error = target - paddle
        return NOOP if abs(error) < 5.0 else (RIGHT if error > 0 else LEFT)


def policy(name, rng):
    """The policy of one episode, and its name in the manifest."""
    if name == "follow":
        return "follow", FollowPolicy(rng)
    share = rng.random()
    if share < 0.1:
        return "random", RandomPolicy(rng, len(ACTIONS))
    return ("follow", FollowPolicy(rng)) if share < 0.6 else (
        "mix", MixPolicy(rng, FollowPolicy(rng), len(ACTIONS), 0.01))


def edges(ram, crop):
    """Left and top of the ball and left of the paddle in the crop, from RAM [T, 2, 128]: [T, 2] each."""
    ram = ram.astype(np.int64)
    in_play = ram[..., BALL_Y] > 0
    left = np.where(in_play, ram[..., BALL_X] - 49, GONE)
    top = np.where(in_play, ram[..., BALL_Y] + 9 - crop[0], GONE)
    return left, top, ram[..., PLAYER_X] - 47


def truth(ram, pixels, crop, size):
    """True positions from RAM [T, 2, 128] (the two pooled frames), in pixels of the small frame.

    Pixel i's centre is at i. Objects cut by the crop's edge count with their visible part. RAM does
    not tell the paddle's width, so it is taken from the screen but where the ball lies beside it.
    """
    rows = crop[1] - crop[0]
    left, top, paddle = edges(ram, crop)
    ball = np.stack([visible_centre(left, BALL_SIZE[0], SCREEN_WIDTH) * size / SCREEN_WIDTH,
                     visible_centre(top, BALL_SIZE[1], rows) * size / rows], 1) - 0.5
    row = top + crop[0]
    beside = ((row + BALL_SIZE[1] > PADDLE_TOP) & (row < PADDLE_TOP + PADDLE_HEIGHT)).any(1)
    between = visible_centre(paddle - WALLS[0], PADDLE_WIDTH, WALLS[1] - WALLS[0]) + WALLS[0]
    player = np.where(beside, between, pixels[:, 2]) * size / SCREEN_WIDTH - 0.5
    return {"ball": ball.astype(np.float32), "player_x": player.astype(np.float32)}


def screen(frames, crop):
    """Positions measured in cropped full-size frames u8 [N, H, 160, 3], in their pixels: the ball
    where nothing else is red, below the bricks and above the paddle, and the paddle."""
    red = (frames == RED).all(-1)
    red[:, :, :WALLS[0]] = red[:, :, WALLS[1]:] = False
    row = np.arange(crop[0], crop[1])
    field = red & ((row >= BRICKS_END) & (row < PADDLE_TOP))[:, None]
    paddle = red & (row == PADDLE_TOP + 1)[:, None]
    return np.stack([span_centre(field.any(1)), span_centre(field.any(2)),
                     span_centre(paddle.any(1))], 1)


def measures(pixels, truth, ram, crop, size):
    """Sums for the manifest: visible frames, hits, and errors of the ball's position against the
    pixels, for frames where both pooled frames show it between bricks and paddle."""
    _, top, _ = edges(ram, crop)
    top = top + crop[0]
    clear = ((top >= BRICKS_END) & (top + BALL_SIZE[1] <= PADDLE_TOP)).all(1)
    told = np.where(clear[:, None], truth["ball"], np.nan)
    seen = np.where(clear[:, None], pixels[:, :2], np.nan)
    y = ram[:, 1, BALL_Y].astype(int)
    down = np.diff(y) > 0
    play = ~np.isnan(truth["ball"][:, 0])
    all_three = play[2:] & play[1:-1] & play[:-2]
    return {
        "ball_visible": int(play.sum()),
        "player_hits": int((all_three & down[:-1] & ~down[1:] & (y[1:-1] > 160)).sum()),
        "errors": error_sums(seen, told, crop, size, ("ball_x", "ball_y")),
    }
