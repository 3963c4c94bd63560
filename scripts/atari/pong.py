"""Pong: actions, policies, and positions of ball and paddles."""

import numpy as np

from collecting import RandomPolicy

from .shared import GONE, SCREEN_WIDTH, MixPolicy, error_sums, span_centre, visible_centre

# RAM cells and sizes, in emulated pixels.
BALL_X, BALL_Y, ENEMY_Y, PLAYER_Y = 49, 54, 50, 51
BALL_SIZE = (2, 4)  # width, height
PADDLE_HEIGHT = 16
BALL_COLOUR, PLAYER_COLOUR, ENEMY_COLOUR = (236, 236, 236), (92, 186, 92), (213, 130, 74)
PLAYER_COLUMNS, ENEMY_COLUMNS = slice(140, 144), slice(16, 20)
ACTIONS = [  # ALE action, name, keys. Here ALE's RIGHT is up and LEFT is down.
    (0, "noop", []),
    (3, "up", ["ArrowUp", "W"]),
    (4, "down", ["ArrowDown", "S"]),
]
NOOP, UP, DOWN = 0, 1, 2


class FollowPolicy:
    """Hits the ball with a random part of the paddle, moves randomly in between, and sometimes slips.

    Each approach of the ball draws a new aim and the ball's position from which the paddle follows;
    before that the paddle moves randomly, so that the ball does not predict the paddle.
    """

    def __init__(self, rng):
        self.rng = rng
        self.wander = RandomPolicy(rng, 3, longest=7)
        self.slip = RandomPolicy(rng, 3, longest=5)
        self.slip_rate = rng.uniform(0.0, 0.035)
        self.spread = rng.uniform(4.0, 9.5)
        self.miss_rate = rng.uniform(0.0, 0.08)
        self.idle_rate = rng.uniform(0.1, 0.7)
        self.slipping = 0
        self.last = None
        self.draw()

    def draw(self):
        """Draws the aim for a new approach, and the ball's x from which the paddle follows it."""
        rng = self.rng
        self.aim = rng.uniform(-self.spread, self.spread)
        if rng.random() < self.miss_rate:
            self.aim = rng.choice([-1, 1]) * rng.uniform(13.0, 40.0)
        self.care_from = rng.uniform(0.0, 85.0)
        self.idle = rng.random() < self.idle_rate  # stand still rather than wander

    def act(self, ram):
        ball_x, ball_y = int(ram[BALL_X]) - 48, int(ram[BALL_Y]) - 46
        paddle = int(ram[PLAYER_Y]) - 40
        last_x, last_y, last_paddle, last_vx = self.last or (ball_x, ball_y, paddle, 0)
        vx, vy, vp = ball_x - last_x, ball_y - last_y, paddle - last_paddle
        self.last = (ball_x, ball_y, paddle, vx)
        if vx > 0 >= last_vx:
            self.draw()
        if self.slipping > 0 or self.rng.random() < self.slip_rate:
            self.slipping = self.slipping - 1 if self.slipping else int(self.rng.integers(1, 6))
            return self.slip.act(ram)
        playing = ram[BALL_Y] != 0 and abs(vx) < 40
        if not (playing and vx > 0 and ball_x >= self.care_from):
            return NOOP if self.idle and self.rng.random() < 0.95 else self.wander.act(ram)
        # Where the ball will arrive; close to the paddle the walls are ignored.
        ahead = min((142 - ball_x) / vx, 2.0) if ball_x < 142 else 0.0
        target = np.clip(ball_y + vy * ahead + self.aim, 2, 158)
        error = target - (paddle + 1.0 * vp)
        return NOOP if abs(error) < 5.0 else (UP if error < 0 else DOWN)


def policy(name, rng):
    """The policy of one episode, and its name in the manifest."""
    if name == "follow":
        return "follow", FollowPolicy(rng)
    share = rng.random()
    if share < 0.06:
        return "random", RandomPolicy(rng, len(ACTIONS))
    return ("follow", FollowPolicy(rng)) if share < 0.56 else (
        "mix", MixPolicy(rng, FollowPolicy(rng), len(ACTIONS), 0.0025))


def truth(ram, pixels, crop, size):
    """True positions from RAM [T, 2, 128] (the two pooled frames), in pixels of the small frame.

    Pixel i's centre is at i. Objects cut by the crop's edge count with their visible part. A ball
    that the screen shows for one frame longer than RAM holds it is taken from the screen.
    """
    rows = crop[1] - crop[0]
    shift = crop[0] - 34  # the offsets below hold for a crop that starts at row 34
    ram = ram.astype(np.int64)
    in_play = (ram[..., BALL_Y] > 0) & (ram[..., BALL_X] < 205)
    left = np.where(in_play, ram[..., BALL_X] - 49, GONE)
    top = np.where(in_play, ram[..., BALL_Y] - 48 - shift, GONE)
    ball = np.stack([visible_centre(left, BALL_SIZE[0], SCREEN_WIDTH) * size / SCREEN_WIDTH,
                     visible_centre(top, BALL_SIZE[1], rows) * size / rows], 1) - 0.5
    shown = pixels[:, :2] * size / np.array([SCREEN_WIDTH, rows]) - 0.5
    ball = np.where(np.isnan(ball) | np.isnan(shown), shown, ball)
    player = 2 * ((ram[..., PLAYER_Y] - 47) // 2) - shift
    enemy = ram[..., ENEMY_Y] - 49 - shift
    centres = {name: visible_centre(top, PADDLE_HEIGHT, rows) * size / rows - 0.5
               for name, top in (("player_y", player), ("enemy_y", enemy))}
    return {"ball": ball.astype(np.float32),
            **{name: centre.astype(np.float32) for name, centre in centres.items()}}


def screen(frames, _crop):
    """Positions measured in cropped full-size frames u8 [N, H, 160, 3], in their pixels.

    A paddle that moved between the two pooled frames takes its colour's maximum with the
    background there, so each object is told by the one channel that stays its own.
    """
    ball = frames[..., 2] == BALL_COLOUR[2]
    player = (frames[:, :, PLAYER_COLUMNS, 1] == PLAYER_COLOUR[1]).any(2)
    enemy = (frames[:, :, ENEMY_COLUMNS, 0] == ENEMY_COLOUR[0]).any(2)
    return np.stack([span_centre(ball.any(1)), span_centre(ball.any(2)),
                     span_centre(player), span_centre(enemy)], 1)


def measures(pixels, truth, ram, crop, size):
    """Sums for the manifest: visible frames, hits, and position errors against the pixels."""
    told = np.column_stack([truth["ball"], truth["player_y"], truth["enemy_y"]])
    x = ram[:, 1, BALL_X].astype(int)
    play = ~np.isnan(truth["ball"][:, 0])
    turned = play[2:] & play[1:-1] & play[:-2] & (np.diff(x)[:-1] > 0) & (np.diff(x)[1:] <= 0)
    met = play[2:] & play[1:-1] & play[:-2] & (np.diff(x)[:-1] < 0) & (np.diff(x)[1:] >= 0)
    return {
        "ball_visible": int(play.sum()),
        "player_hits": int((turned & (x[1:-1] > 150)).sum()),
        "enemy_hits": int((met & (x[1:-1] < 100)).sum()),
        "errors": error_sums(pixels, told, crop, size, ("ball_x", "ball_y", "player_y", "enemy_y")),
    }
