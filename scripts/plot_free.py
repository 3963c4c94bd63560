"""Plots free runs of several worlds from the JSON of `driftless eval`.

    pip install matplotlib
    python scripts/plot_free.py --out docs/lab/x_vs_v.svg "x, K = 4"=x-4.json "v, K = 4"=v-4.json ...

Four panels over the frame number: the distance between the latents and those re-encoded from the
decoded frames, and the shares of frames with the player's paddle, the enemy's paddle and exactly one
ball; dashed: the real game. The part of a name before the comma sets the colour, the rest the line.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

PANELS = [
    ("reencoding", "re-encoding error"),
    ("player", "player shown"),
    ("enemy", "enemy shown"),
    ("one_ball", "exactly one ball"),
]
LINES = ["-", ":", "-.", (0, (5, 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="image to write (.svg)")
    parser.add_argument("runs", nargs="+", metavar="NAME=FILE", help="JSON of driftless eval")
    arguments = parser.parse_args()
    runs = {}
    for run in arguments.runs:
        name, _, file = run.rpartition("=")
        runs[name] = json.loads(Path(file).read_text())["free"]
    kinds = list(dict.fromkeys(name.partition(",")[0] for name in runs))
    variants = list(dict.fromkeys(name.partition(",")[2] for name in runs))
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), sharex=True)
    for axis, (key, title) in zip(axes.flat, PANELS):
        for name, free in runs.items():
            kind, _, variant = name.partition(",")
            bins = [bin for bin in free["bins"] if bin[key] is not None]
            axis.plot(
                [bin["to"] for bin in bins],
                [bin[key] for bin in bins],
                color=f"C{kinds.index(kind)}",
                linestyle=LINES[variants.index(variant) % len(LINES)],
                label=name,
            )
        free = next(iter(runs.values()))
        real = free["real_reencoding"] if key == "reencoding" else free["real"][key]
        axis.axhline(real, color="grey", linestyle="--", linewidth=1)
        axis.set_title(title)
        axis.set_ylim(0.0, None if key == "reencoding" else 1.05)
    for axis in axes[1]:
        axis.set_xlabel("frame of the free run")
    axes[0][0].legend(fontsize=8, ncols=3, loc="lower right")
    figure.tight_layout()
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
