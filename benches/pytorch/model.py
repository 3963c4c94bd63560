"""The networks of a checkpoint in eager PyTorch, one frame of each of B games at a time.

The same parameters and arithmetic as `src/model`. For speed, it uses plain callables instead of
`nn.Module`, channels-last 3x3 kernels made at load time, and a cache of repeated conditioning
embeddings; each was measured to be faster.
"""

import json
import math
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

NORM_EPS = 1e-6
SIGNAL_FEATURES = 16


class Config:
    """`config.json` and the sizes derived from it."""

    def __init__(self, folder: Path):
        self.world = json.loads((folder / "config.json").read_text())
        self.tokenizer = self.world["tokenizer"]
        self.dynamics = self.world["dynamics"]
        self.grid = [side // self.tokenizer["patch"] for side in self.world["image"]]
        self.latent_tokens = self.grid[0] * self.grid[1] // self.dynamics["merge"] ** 2
        self.tokens = self.latent_tokens + 2 + self.dynamics["registers"]

    def step_index(self, steps: int) -> int:
        """Index of the embedding of step size 1/`steps`."""
        return int(math.log2(min(max(steps, 1), self.dynamics["k_max"])))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, in single precision."""
    return {name: tensor.float() for name, tensor in load_file(path).items()}


class Parameters:
    """The tensors of a file whose names have a prefix."""

    def __init__(self, tensors: dict[str, Tensor], prefix: str = ""):
        self.tensors, self.prefix = tensors, prefix

    @staticmethod
    def read(path: Path) -> "Parameters":
        return Parameters(read_tensors(path))

    def at(self, name: str) -> "Parameters":
        return Parameters(self.tensors, f"{self.prefix}{name}.")

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name]


def norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, gain.shape, gain, NORM_EPS)


def kernel(weight: Tensor, first: int, channels: int) -> Tensor:
    """`channels` input channels from `first` on: [M, 9*C] -> [M, channels, 3, 3], channels last."""
    taps = weight.view(weight.shape[0], 3, 3, -1)[..., first : first + channels]
    return taps.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[B, gh, gw, C] -> [B, gh, gw, M]."""
    return F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)


class CellBlock:
    """x + W silu(conv(norm x) + b) on [B, gh, gw, width]."""

    def __init__(self, p: Parameters):
        self.gain, self.bias, self.out = p["norm.weight"], p["conv.bias"], p["out.weight"]
        self.kernel = kernel(p["conv.weight"], 0, self.gain.shape[0])

    def __call__(self, x: Tensor) -> Tensor:
        h = F.silu(conv(norm(x, self.gain), self.kernel, self.bias), inplace=True)
        return F.linear(h, self.out).add_(x)


class Attention:
    """Common parts of spatial and temporal attention; tokens [B, S, width]."""

    def __init__(self, p: Parameters):
        self.gain, self.qkv, self.out = p["norm.weight"], p["qkv.weight"], p["out.weight"]
        parameters = p["attention"]
        self.heads = parameters.shape[0]
        scale = parameters[:, 0]
        # Scale of queries and keys, [2, heads, 1].
        self.scale = torch.stack([scale, torch.ones_like(scale)]).unsqueeze(-1)
        self.bias = parameters[:, 1:]

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled unit queries, unit keys, and values, each [B, S, heads, d]."""
        qkv = F.linear(norm(x, self.gain), self.qkv).view(*x.shape[:2], 3, self.heads, -1)
        qk, v = qkv[:, :, :2], qkv[:, :, 2]
        length = qk.square().sum(-1, keepdim=True).add_(NORM_EPS).rsqrt_()
        qk = qk * length.mul_(self.scale)
        return qk[:, :, 0], qk[:, :, 1], v


class SpatialAttention(Attention):
    def __call__(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x)
        # [B, S, heads, d] -> [B, heads, S, d]; at these sizes, faster than fused attention.
        logits = torch.matmul(q.transpose(1, 2), k.permute(0, 2, 3, 1))
        y = torch.matmul(torch.softmax(logits, -1), v.transpose(1, 2))
        return F.linear(y.transpose(1, 2).reshape(x.shape), self.out).add_(x)


class TemporalAttention(Attention):
    """Attends to the KV cache of earlier frames and to the frame itself.

    Keys and values [B * S, heads, context, d]: slots of earlier frames, then the frame's own.
    """

    def __init__(self, p: Parameters, config: Config, games: int):
        super().__init__(p)
        size = self.gain.shape[0] // self.heads
        shape = (games * config.tokens, self.heads, config.dynamics["context"], size)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        # An additional column hides empty slots.
        self.biases = F.pad(self.bias, (0, 1), value=-math.inf)
        self.mask = self.biases

    def begin_frame(self, columns: Tensor) -> None:
        """Selects the biases of a frame that sees the slots at the distances `columns`."""
        self.mask = self.biases.index_select(1, columns).view(1, self.heads, 1, -1)

    def __call__(self, x: Tensor, slot: int = -1) -> Tensor:
        """Writes the frame's keys and values to `slot` unless it is negative."""
        q, k, v = self.project(x)
        self.write(-1, k, v)
        q = q.flatten(0, 1).unsqueeze(2)
        y = F.scaled_dot_product_attention(
            q, self.keys, self.values, attn_mask=self.mask, scale=1.0
        )
        if slot >= 0:
            self.write(slot, k, v)
        return F.linear(y.reshape(x.shape), self.out).add_(x)

    def write(self, slot: int, k: Tensor, v: Tensor) -> None:
        self.keys[:, :, slot].copy_(k.flatten(0, 1))
        self.values[:, :, slot].copy_(v.flatten(0, 1))


def swiglu(x: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return F.silu(a).mul_(b)


class Mlp:
    def __init__(self, p: Parameters):
        self.gain, self.up, self.down = p["norm.weight"], p["up.weight"], p["down.weight"]

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(swiglu(F.linear(norm(x, self.gain), self.up)), self.down).add_(x)


class Dynamics:
    """Predicts x^ from a frame's noised latent, with earlier frames in a KV cache."""

    def __init__(self, p: Parameters, config: Config, games: int):
        self.config, d = config, config.dynamics
        c = config.tokenizer["channels"]
        self.merge, self.latent_tokens = d["merge"], config.latent_tokens
        self.stem, self.token = p.at("stem"), p.at("token")
        self.stem_current = kernel(p["stem.conv.weight"], 0, c)
        self.stem_past = kernel(p["stem.conv.weight"], c, d["stem_frames"] * c)
        self.stem_block, self.head_block = CellBlock(p.at("stem.block")), CellBlock(p.at("head.block"))
        self.merge_in, self.merge_out = p["merge.weight"].t(), p["unmerge.weight"]
        position = p["position"]
        self.latent_position = position[: self.latent_tokens]
        self.other_position = position[self.latent_tokens :]
        self.layers = []
        for i in range(d["depth"]):
            layer = p.at(f"layers.{i}")
            has_time = (i + 1) % d["time_every"] == 0
            time = TemporalAttention(layer.at("time"), config, games) if has_time else None
            self.layers.append((SpatialAttention(layer.at("space")), time, Mlp(layer.at("mlp"))))
        self.time_layers = [time for _, time, _ in self.layers if time]
        self.gain, self.head_gain = p["norm.weight"], p["head.norm.weight"]
        self.head, self.head_bias = p["head.out.weight"], p["head.out.bias"]
        self.skip_current = p["skip.weight"][:, :c].contiguous()
        self.skip_past = p["skip.weight"][:, c:].contiguous()
        self.slots = d["context"] - 1
        self.slot = 0
        self.conditioning = lru_cache(maxsize=64)(self._conditioning)

    def _conditioning(self, signal: float, step: int) -> tuple[Tensor, Tensor]:
        """The stem's bias [stem width], and the tokens after the latent ones, without the action."""
        k = torch.arange(SIGNAL_FEATURES, dtype=torch.float32)
        features = (signal * (k * math.pi)).cos()

        def embed_signal(p: Parameters) -> Tensor:
            return F.linear(features, p["signal.weight"]) + p["step"][step]

        others = self.other_position.clone()
        others[1] += embed_signal(self.token)
        return embed_signal(self.stem), others

    def begin_frame(self, frame: int, past: Tensor, actions: Tensor) -> None:
        """Starts a frame: `past` [B, gh, gw, stem_frames * c], latest first; `actions` i64 [B]."""
        if self.slots:
            columns = [self.slots + 1] * self.slots + [0]
            for distance in range(1, min(self.slots, frame) + 1):
                columns[(frame - distance) % self.slots] = distance
            self.slot = frame % self.slots
            columns = torch.tensor(columns)
            for time in self.time_layers:
                time.begin_frame(columns)
        self.stem_offset = conv(past, self.stem_past) + self.stem["action"][actions][:, None, None]
        self.output_offset = F.linear(past, self.skip_past, self.head_bias)
        self.action = torch.zeros(len(actions), *self.other_position.shape)
        self.action[:, 0] = self.token["action"][actions]

    def embed(self, z: Tensor, signal: float, step: int) -> tuple[Tensor, Tensor]:
        """Stem features [B, gh, gw, stem width] and tokens [B, S, width]."""
        bias, others = self.conditioning(signal, step)
        cells = self.stem_block(conv(z, self.stem_current, bias).add_(self.stem_offset))
        games, gh, gw, width = cells.shape
        m = self.merge
        # [B, gh/m, m, gw/m, m, sw] -> [B, tokens, m*m*sw]
        merged = cells.view(games, gh // m, m, gw // m, m, width).transpose(2, 3)
        merged = merged.reshape(games, self.latent_tokens, -1)
        latent = torch.matmul(merged, self.merge_in).add_(self.latent_position)
        return cells, torch.cat((latent, others + self.action), 1)

    def denoise(self, z: Tensor, signal: float, step: int) -> Tensor:
        """[B, gh, gw, c] -> x^ [B, gh, gw, c]; does not write the KV cache."""
        cells, x = self.embed(z, signal, step)
        for space, time, mlp in self.layers:
            x = space(x)
            if time:
                x = time(x)
            x = mlp(x)
        merged = F.linear(norm(x[:, : self.latent_tokens], self.gain), self.merge_out)
        games, gh, gw, width = cells.shape
        m = self.merge
        back = merged.view(games, gh // m, gw // m, m, m, width).transpose(2, 3).reshape(cells.shape)
        h = norm(self.head_block(back.add_(cells)), self.head_gain)
        return F.linear(h, self.head).add_(self.output_offset).add_(F.linear(z, self.skip_current))

    def write_cache(self, z: Tensor, signal: float, step: int) -> None:
        """Writes the frame's keys and values. Stops after the last layer that has any."""
        if not self.time_layers or not self.slots:
            return
        _, x = self.embed(z, signal, step)
        for space, time, mlp in self.layers:
            x = space(x)
            if time is self.time_layers[-1]:
                _, k, v = time.project(x)
                time.write(self.slot, k, v)
                return
            if time:
                x = time(x, self.slot)
            x = mlp(x)


class Tokenizer:
    """Converts u8 RGB [B, H, W, 3] to latents [B, gh, gw, c] and back."""

    def __init__(self, p: Parameters, config: Config):
        self.grid, self.patch = config.grid, config.tokenizer["patch"]
        self.encoder, self.decoder = p.at("encoder"), p.at("decoder")
        blocks = range(config.tokenizer["blocks"])
        self.encoder_blocks = [CellBlock(self.encoder.at(f"blocks.{i}")) for i in blocks]
        self.decoder_blocks = [CellBlock(self.decoder.at(f"blocks.{i}")) for i in blocks]
        self.mean, self.std = p["latent.mean"], p["latent.std"]
        start = self.decoder["position"] + self.decoder["latent.bias"]
        self.decoder_start = start.view(*self.grid, -1)

    def encode(self, image: Tensor) -> Tensor:
        (gh, gw), n = self.grid, self.patch
        x = image.float().div_(127.5).sub_(1.0)
        x = x.view(-1, gh, n, gw, n, 3).transpose(2, 3).reshape(len(x), gh * gw, -1)
        p = self.encoder
        x = swiglu(F.linear(x, p["patch.weight"], p["patch.bias"]))
        x = F.linear(x, p["narrow.weight"]).add_(p["position"]).view(len(x), gh, gw, -1)
        for block in self.encoder_blocks:
            x = block(x)
        x = F.linear(norm(x, p["norm.weight"]), p["latent.weight"], p["latent.bias"])
        return x.sub_(self.mean).div_(self.std)

    def decode(self, latent: Tensor) -> Tensor:
        (gh, gw), n, p = self.grid, self.patch, self.decoder
        x = F.linear(latent, p["latent.weight"]).add_(self.decoder_start)
        for block in self.decoder_blocks:
            x = block(x)
        x = swiglu(F.linear(norm(x, p["norm.weight"]), p["widen.weight"], p["widen.bias"]))
        x = F.linear(x, p["patch.weight"], p["patch.bias"])
        x = x.add_(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
        return x.view(-1, gh, gw, n, n, 3).transpose(2, 3).reshape(-1, gh * n, gw * n, 3)
