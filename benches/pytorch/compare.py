"""Runs `driftless bench` and the PyTorch reference alternately and compares their speed.

    python compare.py --checkpoint DIR [--driftless PATH] [--threads 1,2] [--turns 3] [--frames 300]

Each turn is a new process that warms up first. The numbers are medians over the turns of each turn's
median time per frame.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

REFERENCE = Path(__file__).with_name("play.py")


def run(command: list[str], threads: int) -> dict:
    limits = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, **limits}
    )
    return json.loads(done.stdout)


def median_ms(reports: list[dict], row: int, stage: str) -> float:
    return median(report["steps"][row][stage]["median_ms"] for report in reports)


def compare(args: argparse.Namespace, threads: int) -> list[dict]:
    what = ["--checkpoint", args.checkpoint, "--steps", args.steps, "--frames", str(args.frames)]
    ours, theirs = [], []
    for _ in range(args.turns):
        command = [args.driftless, "bench", "--json", "--device", "cpu", "--threads", str(threads)]
        ours.append(run([*command, *what], threads))
        command = [sys.executable, str(REFERENCE), "bench", "--threads", str(threads), *what]
        theirs.append(run(command, threads))
    first, other = ours[0], theirs[0]
    matmul = max(report["threads"][0]["matmul_gflops"] for report in ours)
    print(f"{first['processor']}; matmul f32 1024³ {matmul:.0f} GFLOP/s")
    print(f"driftless: engine {first['engine']}, threads {first['threads'][0]['threads']}")
    print(f"{other['engine']}: threads {other['threads']}")
    print(f"{args.turns} turns of {args.frames} frames; median ms per frame and frames/s\n")
    print(f"{'K':>3}{'driftless':>12}{'frames/s':>10}{'pytorch':>12}{'frames/s':>10}{'ratio':>8}")
    rows = []
    for i, step in enumerate(first["steps"]):
        row = {"threads": threads, "steps": step["steps"]}
        for stage in ("frame", "denoise", "cache", "decode"):
            row[stage] = {
                "driftless_ms": median_ms(ours, i, stage),
                "pytorch_ms": median_ms(theirs, i, stage),
            }
        a, b = row["frame"].values()
        print(f"{row['steps']:>3}{a:>12.3f}{1e3 / a:>10.1f}{b:>12.3f}{1e3 / b:>10.1f}{b / a:>7.2f}×")
        rows.append(row)
    print()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--driftless", default="target/release/driftless")
    parser.add_argument("--steps", default="1,2,4,8")
    parser.add_argument("--threads", default="1", help="comma-separated thread counts, one comparison for each")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    rows = []
    for threads in map(int, args.threads.split(",")):
        rows += compare(args, threads)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
