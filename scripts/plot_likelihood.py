"""Plots the surprise of an episode's frames and of perturbed ones.

    pip install matplotlib
    driftless likelihood --episode FILE.npz --perturbed --json > likelihood.json
    python scripts/plot_likelihood.py likelihood.json --frames 140..200 --out docs/likelihood.svg

Bits per dimension against the frame number. Frames that a change does not touch leave a gap in its
line.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "driftless"
import matplotlib.pyplot as plt

# The perturbations to plot.
LINES = {
    "pixel noise of 8/255": "C4",
    "another action, paddle in full view": "C1",
    "ball taken away": "C2",
    "ball 4 px to the right": "C0",
}


def stretch(text: str) -> range:
    first, end = text.split("..")
    return range(int(first), int(end))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("report", type=Path, help="JSON of driftless likelihood --perturbed")
    parser.add_argument("--frames", type=stretch, metavar="A..B", help="frames to plot (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="image to write (.svg)")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())
    real = report["frames"]
    frames = arguments.frames or range(real[0]["frame"], real[-1]["frame"] + 1)
    figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")

    def draw(surprises: list, **style) -> None:
        bits = {s["frame"]: s["bits_per_dimension"] for s in surprises}
        axis.plot(frames, [bits.get(frame, float("nan")) for frame in frames], **style)

    changed = {comparison["change"]: comparison["frames"] for comparison in report["against"]}
    for name, colour in LINES.items():
        if name in changed:
            draw(changed[name], label=name, color=colour, marker=".", linewidth=1)
    draw(real, label="real frames", color="black", linewidth=1.5)
    axis.set_xlim(frames[0], frames[-1])
    axis.set_xlabel("frame")
    axis.set_ylabel("−log₂ p in bits per dimension")
    axis.set_title(f"{report['world']}, τ = {report['options']['level']}: the lower, the likelier")
    axis.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(LINES) + 1)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
