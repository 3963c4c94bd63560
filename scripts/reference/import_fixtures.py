#!/usr/bin/env python3
"""Creates the recordings for tests/import.rs with the libraries that define the formats.

    pip install -r scripts/reference/import_requirements.txt
    python scripts/reference/import_fixtures.py

rewrites tests/data/import/ in the repository that holds this script. It needs ffmpeg with libx264
and libsvtav1. All of them show one little world: a bright square that goes left or right by an
eighth of the picture with every step, so that a picture tells which action led to it.

- vpt/: videos and key presses in the layout of OpenAI's VPT contractor data, written here (20
  frames a second, H.264); line t holds the keys that are down at frame t.
- lerobot/, lerobot-images/: LeRobot's layout v2.1 written with pyarrow as Hugging Face's `datasets`
  writes it (snappy), with AV1 video at LeRobot's settings, and with PNG inside the parquet file.
- lerobot-v3/: LeRobot's layout v3.0, written with pyarrow: two episodes that share a Parquet file
  (zstd, a row group each) and a video (H.264), the second of them cut off after eight rows.
- minari/, minari-plain/: recorded by Minari's DataCollector, JPEG as it does by default, and not.
  Minari's metadata.json is left out: the program does not read it.
- minari-gzip/: minari-plain/ copied by h5py into chunks compressed with gzip and shuffle.
"""

import io
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 24, 32
SQUARE, STEP, START = 8, 4, 12
NOOP, LEFT, RIGHT = 0, 1, 2
STEPS = [NOOP, RIGHT, RIGHT, NOOP, LEFT, LEFT, LEFT, NOOP, RIGHT, NOOP, LEFT, RIGHT]
OUT = Path(__file__).resolve().parents[2] / "tests/data/import"


def frame(x, scale=1):
    """The image with the square's left edge at x, u8 [HEIGHT, WIDTH, 3] times scale."""
    picture = np.full((HEIGHT, WIDTH, 3), (20, 40, 60), np.uint8)
    picture[8:8 + SQUARE, x:x + SQUARE] = (230, 220, 210)
    return picture.repeat(scale, 0).repeat(scale, 1)


def positions():
    """The square's left edge in each of the len(STEPS) + 1 frames."""
    moves = {NOOP: 0, LEFT: -STEP, RIGHT: STEP}
    return START + np.cumsum([0] + [moves[step] for step in STEPS])


def write_video(path, fps, scale, codec, places=None):
    """Writes the frames with the square at `places`, enlarged by `scale`, as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places = positions() if places is None else places
    frames = b"".join(frame(x, scale).tobytes() for x in places)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
                    "-s", f"{WIDTH * scale}x{HEIGHT * scale}", "-r", str(fps), "-i", "-", "-an",
                    "-pix_fmt", "yuv420p", *codec, str(path)], input=frames, check=True)


def make_vpt(folder):
    write_video(folder / "square-0.mp4", 20, 2, ["-c:v", "libx264", "-crf", "18"])
    keys = {NOOP: [], LEFT: ["key.keyboard.a"], RIGHT: ["key.keyboard.d"]}
    lines, before = [], []
    for tick, step in enumerate(STEPS + [NOOP]):
        held = keys[step]
        lines.append(json.dumps({
            "mouse": {"x": 640.0, "y": 360.0, "dx": 0.0, "dy": 0.0, "scaledX": 0.0, "scaledY": 0.0,
                      "dwheel": 0.0, "buttons": [], "newButtons": []},
            "keyboard": {"keys": held, "newKeys": [key for key in held if key not in before],
                         "chars": ""},
            "isGuiOpen": False, "isGuiInventory": False, "hotbar": 0, "yaw": 0.0, "pitch": 0.0,
            "xpos": 0.0, "ypos": 64.0, "zpos": 0.0, "tick": tick, "milli": 1600000000000 + 50 * tick,
            "inventory": [], "serverTick": tick, "serverTickDurationMs": 1.0, "stats": {}}))
        before = held
    (folder / "square-0.jsonl").write_text("\n".join(lines) + "\n")


def png(picture):
    from PIL import Image
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def make_lerobot(folder, video):
    """One episode; the action is a velocity along two axes, of which only the first has an effect."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    key, fps, count = "observation.images.top", 10, len(STEPS) + 1
    speed = {NOOP: 0.0, LEFT: -1.0, RIGHT: 1.0}
    columns = {
        "action": pa.array([[speed[step], 0.1] for step in STEPS + [NOOP]], pa.list_(pa.float32())),
        "observation.state": pa.array([[float(x)] for x in positions()], pa.list_(pa.float32())),
        "timestamp": pa.array([t / fps for t in range(count)], pa.float32()),
        "frame_index": pa.array(range(count), pa.int64()),
        "episode_index": pa.array([0] * count, pa.int64()),
        "index": pa.array(range(count), pa.int64()),
        "task_index": pa.array([0] * count, pa.int64()),
        "next.reward": pa.array([float(t) for t in range(count)], pa.float32()),
    }
    if not video:
        columns[key] = pa.array([{"bytes": png(frame(x)), "path": None} for x in positions()],
                                pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    scale = 4 if video else 1
    info = {
        "codebase_version": "v2.1", "robot_type": "square", "total_episodes": 1,
        "total_frames": count, "total_tasks": 1, "total_videos": int(video), "total_chunks": 1,
        "chunks_size": 1000, "fps": fps, "splits": {"train": "0:1"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
                      if video else None,
        "features": {
            "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
            key: {"dtype": "video" if video else "image",
                  "shape": [HEIGHT * scale, WIDTH * scale, 3],
                  "names": ["height", "width", "channels"]},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        },
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4) + "\n")
    (folder / "meta/episodes.jsonl").write_text(
        json.dumps({"episode_index": 0, "tasks": ["Move."], "length": count}) + "\n")
    data = folder / "data/chunk-000/episode_000000.parquet"
    data.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), data, compression="snappy")
    if video:
        write_video(folder / f"videos/chunk-000/{key}/episode_000000.mp4", fps, scale,
                    ["-c:v", "libsvtav1", "-crf", "30", "-g", "2"])


def make_lerobot_v3(folder):
    """Two episodes in one file of rows and one video; `meta/episodes` says where each is."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    key, fps = "observation.images.top", 10
    speed = {NOOP: 0.0, LEFT: -1.0, RIGHT: 1.0}
    lengths = [len(STEPS) + 1, 8]
    data = folder / "data/chunk-000/file-000.parquet"
    episodes = folder / "meta/episodes/chunk-000/file-000.parquet"
    for path in (data, episodes):
        path.parent.mkdir(parents=True)
    start, tables, rows = 0, [], []
    for episode, length in enumerate(lengths):
        steps = (STEPS + [NOOP])[:length]
        tables.append(pa.table({
            "action": pa.array([[speed[step], 0.1] for step in steps], pa.list_(pa.float32())),
            "timestamp": pa.array([t / fps for t in range(length)], pa.float32()),
            "frame_index": pa.array(range(length), pa.int64()),
            "episode_index": pa.array([episode] * length, pa.int64()),
            "index": pa.array(range(start, start + length), pa.int64()),
            "task_index": pa.array([0] * length, pa.int64()),
        }))
        rows.append({
            "episode_index": episode, "tasks": ["Move."], "length": length,
            "data/chunk_index": 0, "data/file_index": 0,
            "dataset_from_index": start, "dataset_to_index": start + length,
            f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0,
            f"videos/{key}/from_timestamp": start / fps,
            f"videos/{key}/to_timestamp": (start + length) / fps,
        })
        start += length
    with pq.ParquetWriter(data, tables[0].schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
    pq.write_table(pa.Table.from_pylist(rows), episodes, compression="snappy")
    info = {
        "codebase_version": "v3.0", "robot_type": "square", "total_episodes": len(lengths),
        "total_frames": start, "total_tasks": 1, "chunks_size": 1000, "fps": fps,
        "data_files_size_in_mb": 100, "video_files_size_in_mb": 500,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
            key: {"dtype": "video", "shape": [HEIGHT * 4, WIDTH * 4, 3],
                  "names": ["height", "width", "channels"]},
        },
    }
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4) + "\n")
    places = [x for length in lengths for x in positions()[:length]]
    write_video(folder / f"videos/{key}/chunk-000/file-000.mp4", fps, 4,
                ["-c:v", "libx264", "-crf", "18"], places)


def make_minari(folder, jpeg):
    """Minari treats arrays with sides of at least 32 pixels as images and encodes them."""
    import gymnasium as gym
    import minari
    scale = 2 if jpeg else 1

    class Square(gym.Env):
        observation_space = gym.spaces.Dict({
            "picture": gym.spaces.Box(
                0, 255, (HEIGHT * scale, WIDTH * scale, 3), np.uint8),
            "x": gym.spaces.Box(0, WIDTH, (1,), np.int64)})
        action_space = gym.spaces.Discrete(3)

        def see(self):
            x = positions()[self.at]
            return {"picture": frame(x, scale), "x": np.array([x])}

        def reset(self, seed=None, options=None):
            super().reset(seed=seed)
            self.at = 0
            return self.see(), {}

        def step(self, action):
            assert action == STEPS[self.at]
            self.at += 1
            return self.see(), float(self.at), self.at == len(STEPS), False, {}

    env = minari.DataCollector(Square(), data_format="hdf5", jpeg_encoding=jpeg)
    env.reset(seed=0)
    for step in STEPS:
        env.step(step)
    env.create_dataset(dataset_id="driftless/square-v0", description="A square.")
    made = Path(os.environ["MINARI_DATASETS_PATH"]) / "driftless/square-v0"
    (folder / "data").mkdir(parents=True)
    shutil.copy(made / "data/main_data.hdf5", folder / "data")
    shutil.rmtree(made)


def make_gzip(source, folder):
    import h5py
    (folder / "data").mkdir(parents=True)
    with h5py.File(source / "data/main_data.hdf5") as old, \
            h5py.File(folder / "data/main_data.hdf5", "w") as new:
        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                new.create_dataset(name, data=item[()], chunks=(5, *item.shape[1:]),
                                   compression="gzip", shuffle=True)
        old.visititems(copy)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    make_vpt(OUT / "vpt")
    make_lerobot(OUT / "lerobot", video=True)
    make_lerobot(OUT / "lerobot-images", video=False)
    make_lerobot_v3(OUT / "lerobot-v3")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        make_minari(OUT / "minari", jpeg=True)
        make_minari(OUT / "minari-plain", jpeg=False)
    make_gzip(OUT / "minari-plain", OUT / "minari-gzip")


if __name__ == "__main__":
    main()
