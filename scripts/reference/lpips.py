"""Reference values of LPIPS, and small PyTorch files, for the tests of `driftless eval --lpips`.

    pip install torch numpy
    python scripts/reference/lpips.py

Backbones and heads have pseudo-random weights, which the tests make in the same way: published ones are too large
for a test. The network is written out after `lpips/lpips.py` and `lpips/pretrained_networks.py` of lpips 0.1.4
(torchvision's AlexNet and VGG-16, whose layers it cuts into five slices), and computed by PyTorch.
Prints the distances; writes the heads of AlexNet as `tests/data/lpips/heads.pth` (the format of today) and
`heads_old.pth` (that of before 2020, which the published heads have).
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

# (index in `features`, output channels, kernel, stride, padding), or "pool K S", or "out" after a slice.
ALEX = [(0, 64, 11, 4, 2), "out", (3, 2), (3, 192, 5, 1, 2), "out", (3, 2), (6, 384, 3, 1, 1), "out",
        (8, 256, 3, 1, 1), "out", (10, 256, 3, 1, 1), "out"]
VGG = [(0, 64, 3, 1, 1), (2, 64, 3, 1, 1), "out", (2, 2), (5, 128, 3, 1, 1), (7, 128, 3, 1, 1), "out", (2, 2),
       (10, 256, 3, 1, 1), (12, 256, 3, 1, 1), (14, 256, 3, 1, 1), "out", (2, 2), (17, 512, 3, 1, 1),
       (19, 512, 3, 1, 1), (21, 512, 3, 1, 1), "out", (2, 2), (24, 512, 3, 1, 1), (26, 512, 3, 1, 1),
       (28, 512, 3, 1, 1), "out"]


def uniform(count, seed):
    """`count` numbers in [0, 1): a multiplicative hash of (position + seed · 2²⁴), its upper 24 bits."""
    at = np.arange(count, dtype=np.uint64) + np.uint64(seed << 24)
    at = (at * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return (at.astype(np.float64) / 2.0**24).astype(np.float32)


def weights(layers):
    state, channels, slices = OrderedDict(), 3, 0
    for layer in layers:
        if layer == "out":
            state[f"lin{slices}.model.1.weight"] = torch.tensor(uniform(channels, 900 + slices)).reshape(1, -1, 1, 1)
            slices += 1
        elif len(layer) == 5:
            index, out, kernel, _, _ = layer
            fan_in = channels * kernel * kernel
            w = (uniform(out * fan_in, index) - np.float32(0.5)) * np.float32((24.0 / fan_in) ** 0.5)
            b = (uniform(out, 500 + index) - np.float32(0.5)) * np.float32(0.2)
            state[f"features.{index}.weight"] = torch.tensor(w).reshape(out, channels, kernel, kernel)
            state[f"features.{index}.bias"] = torch.tensor(b)
            channels = out
    return state


def features(layers, state, x):
    shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)
    x, found = (x - shift) / scale, []
    for layer in layers:
        if layer == "out":
            found.append(x)
        elif len(layer) == 2:
            x = max_pool2d(x, *layer)
        else:
            index, _, _, stride, padding = layer
            x = relu(conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], stride, padding))
    return found


def distance(layers, state, a, b):
    total = 0
    for i, (f, g) in enumerate(zip(features(layers, state, a), features(layers, state, b))):
        unit = lambda x: x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
        d = (unit(f) - unit(g)).pow(2)
        total = total + conv2d(d, state[f"lin{i}.model.1.weight"]).mean()
    return float(total)


def image(seed, height, width):
    """A picture whose bytes are 256 · uniform, in [-1, 1]."""
    pixels = np.floor(uniform(height * width * 3, seed) * 256).astype(np.float32)
    return torch.tensor(pixels / 127.5 - 1).reshape(1, height, width, 3).permute(0, 3, 1, 2)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    print("torch", torch.__version__)
    for name, layers in [("alex", ALEX), ("vgg", VGG)]:
        state = weights(layers)
        for height, width in [(64, 64), (48, 80)]:
            a, b = image(1000, height, width), image(1001, height, width)
            near = a.clone()
            near[:, :, : height // 2] = b[:, :, : height // 2]
            print(name, height, width, distance(layers, state, a, b), distance(layers, state, a, near))
    heads = OrderedDict((k, v) for k, v in weights(ALEX).items() if k.startswith("lin"))
    folder = Path(__file__).parents[2] / "tests/data/lpips"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(heads, folder / "heads.pth")
    torch.save(heads, folder / "heads_old.pth", _use_new_zipfile_serialization=False)
