#!/usr/bin/env python3
"""Records episodes of any Gymnasium environment with pixels as a dataset for Driftless.

    pip install gymnasium minigrid
    python scripts/collect_gym.py --env MiniGrid-DoorKey-8x8-v0 --frames 20000 --seed 1 --out data/door

Actions of MiniGrid, ViZDoom (ships with Freedoom), Crafter (--env crafter), Memory Maze (--env
memory-maze-9x9) and ALE have names and keys; those of other environments are called a0, a1, ... unless --actions names them. For an
environment of another package, give the module, too: --env package.module:Name-v0.

Pixels come from the observation if it is an image, or else from rendering; they are cropped to --crop
and area-averaged to SIZE. An action is held for SKIP steps of the environment. action[t] is the
action that led to image[t]; action[0] is 0. Episode i depends only on (seed, i).
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Imported first: limits matrix libraries to one thread per worker.
import collecting
from collecting import RandomPolicy, area_weights, shrink

import numpy as np

# Prefix of the environment's name, module that registers it, package.
FAMILIES = [("MiniGrid-", "minigrid", "minigrid"), ("BabyAI-", "minigrid", "minigrid"),
            ("Vizdoom", "vizdoom.gymnasium_wrapper", "vizdoom"), ("ALE/", "ale_py", "ale-py")]
SMALLEST_PICTURE = 32  # pixels per side; smaller ones are maps, such as MiniGrid's 7 x 7
CHUNK = 256  # frames to resize at once

# Keys by a word in the action's name.
KEYS = {"up": "ArrowUp", "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight",
        "fire": "Space", "upright": "ArrowUp+ArrowRight", "upleft": "ArrowUp+ArrowLeft",
        "downright": "ArrowDown+ArrowRight", "downleft": "ArrowDown+ArrowLeft"}
DOOM_KEYS = {"ATTACK": "Space", "USE": "E", "JUMP": "J", "CROUCH": "X", "SPEED": "Q",
             "MOVE_FORWARD": "W", "MOVE_BACKWARD": "S", "MOVE_LEFT": "A", "MOVE_RIGHT": "D",
             "TURN_LEFT": "ArrowLeft", "TURN_RIGHT": "ArrowRight", "TURN180": "F"}
MINIGRID_ACTIONS = [  # "done" has no effect except in a few tasks, so it serves as the idle action.
    (6, "noop", []), (0, "left", ["ArrowLeft", "A"]), (1, "right", ["ArrowRight", "D"]),
    (2, "forward", ["ArrowUp", "W"]), (3, "pickup", ["E"]), (4, "drop", ["Q"]),
    (5, "toggle", ["Space"])]
CRAFTER_KEYS = {"move_left": ["ArrowLeft", "A"], "move_right": ["ArrowRight", "D"],
                "move_up": ["ArrowUp", "W"], "move_down": ["ArrowDown", "S"], "do": ["Space"],
                "sleep": ["Z"], "place_stone": ["1"], "place_table": ["2"], "place_furnace": ["3"],
                "place_plant": ["4"], "make_wood_pickaxe": ["5"], "make_stone_pickaxe": ["6"],
                "make_iron_pickaxe": ["7"], "make_wood_sword": ["8"], "make_stone_sword": ["9"],
                "make_iron_sword": ["0"]}


class Crafter:
    """Crafter as a Gymnasium environment, seeded by reset."""

    metadata = {"render_fps": 10}

    def __init__(self, size):
        self.size = size  # height, width: it draws itself at any

    def reset(self, seed):
        import crafter
        self.env = crafter.Env(size=self.size[::-1], seed=seed)
        return self.env.reset(), {}

    def step(self, action):
        seen, reward, done, info = self.env.step(action)
        dead = info["discount"] == 0.0
        return seen, reward, dead, done and not dead, info

    def close(self):
        pass


class MemoryMaze:
    """Memory Maze (Pasukonis et al., 2022), another maze for each seed. Tells the walker's pose."""

    metadata = {"render_fps": 4}
    SIZES = ("9x9", "11x11", "13x13", "15x15")
    ACTIONS = [(0, "noop", []), (1, "forward", ["ArrowUp", "W"]), (2, "left", ["ArrowLeft", "A"]),
               (3, "right", ["ArrowRight", "D"]), (4, "forward-left", ["ArrowUp+ArrowLeft", "W+A"]),
               (5, "forward-right", ["ArrowUp+ArrowRight", "W+D"])]

    def __init__(self, name, arguments):
        size = name.removeprefix("memory-maze-")
        if size not in self.SIZES:
            sys.exit(f"--env {name}: expected memory-maze-9x9, -11x11, -13x13 or -15x15")
        self.task, self.arguments, self.env = f"memory_maze_{size}", arguments, None
        self.shape = (arguments.get("camera_resolution", 64),) * 2

    def reset(self, seed):
        from memory_maze import tasks
        self.env = getattr(tasks, self.task)(seed=seed, global_observables=True, **self.arguments)
        return self.seen(self.env.reset()), {}

    def step(self, action):
        now = self.env.step(action)
        ended = now.last()
        return self.seen(now), float(now.reward or 0.0), ended and now.discount == 0.0, ended, {}

    def seen(self, now):
        (self.x, self.y), (self.cos, self.sin) = (now.observation[key] for key in ("agent_pos", "agent_dir"))
        return now.observation["image"]

    def pose(self):
        """Position in cells of the maze and direction, as unit vector."""
        length = float(np.hypot(self.cos, self.sin)) or 1.0
        return {"x": self.x, "y": self.y, "cos": self.cos / length, "sin": self.sin / length}

    def close(self):
        if self.env is not None:
            self.env.close()


def open_environment(options):
    """The environment, and the version of its package."""
    name = options["env"]
    if name == "crafter":
        return Crafter(options["size"]), {"crafter": version("crafter")}
    if name.startswith("memory-maze-"):
        env = MemoryMaze(name, options["env_args"])
        return env, {package: version(package) for package in ("memory-maze", "dm_control", "mujoco")}
    import gymnasium
    versions = {"gymnasium": gymnasium.__version__}
    for start, module, package in FAMILIES:
        if name.startswith(start):
            importlib.import_module(module)
            versions[package] = version(package)
    if ":" in name:
        package = name.partition(":")[0].partition(".")[0]
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a module of one's own
            pass
    return gymnasium.make(name, render_mode="rgb_array", **options["env_args"]), versions


def action_table(options, env):
    """For each of our actions, the environment's action, name and keys; '+' joins keys pressed together."""
    if options["actions"]:
        return [(entry["action"], entry["name"], entry["keys"]) for entry in options["actions"]]
    if isinstance(env, Crafter):
        import crafter
        names = crafter.Env().action_names
        return [(i, name, CRAFTER_KEYS.get(name, [])) for i, name in enumerate(names)]
    if isinstance(env, MemoryMaze):
        return env.ACTIONS
    count = getattr(env.action_space, "n", None)
    if count is None:
        sys.exit(f"--env {options['env']}: actions are {env.action_space}, expected discrete ones "
                 "(many environments have an argument for that: --env-arg continuous=false)")
    if options["env"].startswith(("MiniGrid-", "BabyAI-")):
        return MINIGRID_ACTIONS
    plain = env.unwrapped
    if options["env"].startswith("Vizdoom"):
        buttons = [button.name for button in plain.game.get_available_buttons()]
        table = []
        for i, pressed in enumerate(plain.button_map):
            held = [button for button, down in zip(buttons, pressed) if down]
            if any(button.replace("LEFT", "RIGHT") in held for button in held if "LEFT" in button):
                continue  # to the left and to the right at once
            keys = "+".join(DOOM_KEYS.get(button, "") for button in held)
            table.append((i, "-".join(held).lower() or "noop", [keys] if held else []))
        return table
    if hasattr(plain, "get_action_meanings"):
        table = []
        for i, meaning in enumerate(plain.get_action_meanings()):
            word, fire = meaning.lower().removesuffix("fire"), meaning.lower().endswith("fire")
            words = [w for w in (word, "fire" if fire else "") if w and w != "noop"]
            table.append((i, "-".join(words) or "noop",
                          ["+".join(KEYS[w] for w in words)] if words else []))
        return table
    return [(i, f"a{i}", [str(i)] if 1 <= i <= 9 else []) for i in range(count)]


def is_picture(seen):
    return (isinstance(seen, np.ndarray) and seen.dtype == np.uint8 and seen.ndim == 3
            and seen.shape[2] == 3 and min(seen.shape[:2]) >= SMALLEST_PICTURE)


def pixels(env, seen):
    """The current frame, u8 [H, W, 3]: the observation if it is an image, or else rendered."""
    candidates = list(seen.values()) if isinstance(seen, dict) else [seen]
    for candidate in candidates:
        if is_picture(candidate):
            return candidate
    frame = env.render()
    if not is_picture(frame):
        sys.exit("the environment neither observes nor renders an image (uint8 [H, W, 3])")
    return frame


def cropped(shape, crop):
    """The rows and columns to keep of an image of this height and width."""
    crop = crop or [0, shape[0], 0, shape[1]]
    if crop[1] > shape[0] or crop[3] > shape[1]:
        sys.exit(f"--crop: the image has {shape[0]} rows and {shape[1]} columns")
    return slice(*crop[:2]), slice(*crop[2:])


def choose_policy(name, rng, table):
    """Random play, or `Policy(rng, names)` of a Python file, whose act(image) returns an action index."""
    if name == "random":
        return "random", RandomPolicy(rng, len(table))
    spec = importlib.util.spec_from_file_location("policy", name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(name).stem, module.Policy(rng, [action for _, action, _ in table])


def record(job):
    """Plays and writes episode `index`; returns its manifest entry."""
    options, index = job
    rng = np.random.default_rng([options["seed"], index])
    env, _ = open_environment(options)
    table = action_table(options, env)
    policy_name, policy = choose_policy(options["policy"], rng, table)
    images, pending, actions, rewards, poses = [], [], [0], [0.0], []
    seen, _ = env.reset(seed=int(rng.integers(2**31 - 1)))
    frame = pixels(env, seen)
    height, width = options["size"]
    crop = cropped(frame.shape[:2], options["crop"])
    rows, columns = (area_weights(part.stop - part.start, size)
                     for part, size in zip(crop, (height, width)))

    def flush():
        images.append(shrink(np.stack(pending), rows, columns))
        pending.clear()

    def keep_pose():
        if hasattr(env, "pose"):
            poses.append(env.pose())

    pending.append(frame[crop])
    keep_pose()
    ended = terminal = False
    while len(actions) < options["max_episode_frames"] and not ended:
        action = policy.act(frame)
        reward = 0.0
        for _ in range(options["skip"]):
            seen, more, terminal, truncated, _ = env.step(table[action][0])
            reward += float(more)
            ended = terminal or truncated
            if ended:
                break
        # ViZDoom returns a black frame at the end of an episode: keep the last frame.
        if not (ended and options["env"].startswith("Vizdoom")):
            frame = pixels(env, seen)
        pending.append(frame[crop])
        keep_pose()
        actions.append(action)
        rewards.append(reward)
        if len(pending) == CHUNK:
            flush()
    if pending:
        flush()
    env.close()
    arrays = collecting.episode_arrays(np.concatenate(images), actions, rewards, terminal)
    for name in poses[0] if poses else ():
        arrays[name] = np.asarray([pose[name] for pose in poses], np.float32)
    return collecting.write_episode(options["out"], index, arrays, policy_name, len(table))


def env_argument(text):
    """`name=value` with a JSON value, or else a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def size_argument(text):
    """`64x48` (height, width), or one number for a square."""
    height, _, width = text.partition("x")
    try:
        size = (int(height), int(width or height))
    except ValueError:
        size = (0, 0)
    if min(size) < 8:
        raise argparse.ArgumentTypeError("expected HEIGHTxWIDTH, at least 8 each, for example 64x64")
    return size


def crop_argument(text):
    """`top:bottom,left:right`: the first row, the row after the last, and likewise for columns."""
    try:
        top, bottom, left, right = (int(n) for part in text.split(",") for n in part.split(":"))
    except ValueError:
        top = bottom = left = right = 0
    if not (0 <= top < bottom and 0 <= left < right):
        raise argparse.ArgumentTypeError("expected TOP:BOTTOM,LEFT:RIGHT, for example 40:200,0:320")
    return [top, bottom, left, right]


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", required=True, help="for example VizdoomTakeCover-v1, crafter or memory-maze-9x9")
    parser.add_argument("--env-arg", type=env_argument, action="append", default=[],
                        metavar="NAME=VALUE", help="an argument of the environment")
    collecting.add_arguments(parser, max_episode_frames=1000)
    parser.add_argument("--size", type=size_argument, default=(64, 64), metavar="HxW",
                        help="height and width of the frames in pixels")
    parser.add_argument("--crop", type=crop_argument, metavar="TOP:BOTTOM,LEFT:RIGHT",
                        help="rows and columns of the image to keep (default: all)")
    parser.add_argument("--skip", type=int, default=1, help="environment steps for which an action is held")
    parser.add_argument("--fps", type=float, help="steps per second, if the environment does not specify them")
    parser.add_argument("--policy", default="random",
                        help="random, or a Python file with a class Policy(rng, names)")
    parser.add_argument("--actions", type=Path, metavar="JSON",
                        help='actions, in our order: [{"action": 0, "name": "noop", "keys": []}, ...]')
    parser.add_argument("--name", help="the world's name")
    args = parser.parse_args(argv)
    collecting.check_arguments(parser, args, {"skip": 1})
    if args.policy != "random" and not Path(args.policy).is_file():
        parser.error(f"--policy {args.policy}: no such file, and not `random`")
    return args


def main(argv):
    args = parse(argv)
    args.out = args.out.absolute()
    options = {key: getattr(args, key) for key in
               ("env", "seed", "size", "crop", "skip", "max_episode_frames", "policy")}
    options["env_args"] = dict(args.env_arg)
    options["actions"] = json.loads(args.actions.read_text()) if args.actions else None
    if args.policy != "random":
        options["policy"] = str(Path(args.policy).absolute())
    options["out"] = str(args.out)
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # some environments leave files where they are started
        try:
            env, versions = open_environment(options)
        except Exception as error:  # packages raise all kinds
            sys.exit(f"--env {args.env}: cannot be created: {error}")
        table = action_table(options, env)
        steps = args.fps or getattr(env, "metadata", {}).get("render_fps")
        if not steps:
            sys.exit(f"--env {args.env}: does not specify its steps per second; give --fps")
        # Fails here, not in a worker, if there are no pixels or too few for the crop. Memory Maze is not
        # started: workers that are forked from a process with a graphics context would hang.
        shape = getattr(env, "shape", None) or pixels(env, env.reset(seed=0)[0]).shape[:2]
        cropped(shape, options["crop"])
        env.close()
        collecting.open_folder(args.out)
        results = collecting.collect(record, options, args)
        os.chdir(args.out)
    name = args.name or args.env.rpartition(":")[2].rpartition("/")[2]
    info = {"name": name, "fps": steps / args.skip, "image": list(args.size),
            "actions": [{"name": action, "keys": keys} for _, action, keys in table]}
    options["policy"] = args.policy
    summary = collecting.manifest("collect_gym.py", argv, options, versions, results,
                                  time.time() - started)
    collecting.write_dataset(args.out, info, summary, results)


if __name__ == "__main__":
    main(sys.argv[1:])
