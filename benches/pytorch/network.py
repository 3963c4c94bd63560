"""Both networks in PyTorch for training: batches of frames, and of sequences with clean and noised copies.

The same parameters and arithmetic as `tokenizer.rs` and `dynamics.rs` in `crates/driftless-model/src`,
with gradients.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import NORM_EPS, SIGNAL_FEATURES, Config


class Layers(nn.Module):
    """Parameters by their names in a checkpoint, and the layers that both networks consist of."""

    def __init__(self, tensors: dict[str, Tensor]):
        super().__init__()
        self.names = {name: name.replace(".", "/") for name in tensors}
        self.weights = nn.ParameterDict(
            {self.names[name]: nn.Parameter(value.clone()) for name, value in tensors.items()}
        )

    def __getitem__(self, name: str) -> Tensor:
        return self.weights[self.names[name]]

    def norm(self, x: Tensor, name: str) -> Tensor:
        gain = self[f"{name}.weight"]
        return F.rms_norm(x, gain.shape, gain, NORM_EPS)

    def conv(self, x: Tensor, name: str, bias: Tensor | None = None) -> Tensor:
        """[N, gh, gw, C] -> [N, gh, gw, M]; the weight is [M, 9 C], taps first."""
        weight = self[f"{name}.weight"]
        kernel = weight.view(weight.shape[0], 3, 3, -1).permute(0, 3, 1, 2)
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, bias, padding=1).permute(0, 2, 3, 1)

    def block(self, x: Tensor, name: str) -> Tensor:
        h = F.silu(self.conv(self.norm(x, f"{name}.norm"), f"{name}.conv", self[f"{name}.conv.bias"]))
        return x + F.linear(h, self[f"{name}.out.weight"])


class TokenizerNetwork(Layers):
    """Maps images [N, H, W, 3] to raw latents [N, gh, gw, c], and latents to images."""

    def __init__(self, tensors: dict[str, Tensor], config: Config):
        super().__init__(tensors)
        self.grid, self.t = config.grid, config.tokenizer

    def swiglu(self, x: Tensor, name: str) -> Tensor:
        a, b = F.linear(x, self[f"{name}.weight"], self[f"{name}.bias"]).chunk(2, -1)
        return F.silu(a) * b

    def blocks(self, x: Tensor, side: str) -> Tensor:
        x = (x + self[f"{side}.position"]).view(x.shape[0], *self.grid, -1)
        for i in range(self.t["blocks"]):
            x = self.block(x, f"{side}.blocks.{i}")
        return self.norm(x, f"{side}.norm")

    def encode(self, images: Tensor) -> Tensor:
        (gh, gw), p = self.grid, self.t["patch"]
        x = images.view(-1, gh, p, gw, p, 3).transpose(2, 3).reshape(-1, gh * gw, p * p * 3)
        x = F.linear(self.swiglu(x, "encoder.patch"), self["encoder.narrow.weight"])
        x = self.blocks(x, "encoder")
        return F.linear(x, self["encoder.latent.weight"], self["encoder.latent.bias"])

    def decode(self, latents: Tensor) -> Tensor:
        (gh, gw), p = self.grid, self.t["patch"]
        x = F.linear(latents, self["decoder.latent.weight"], self["decoder.latent.bias"])
        x = self.swiglu(self.blocks(x.flatten(1, 2), "decoder"), "decoder.widen")
        x = F.linear(x, self["decoder.patch.weight"], self["decoder.patch.bias"])
        return x.view(-1, gh, gw, p, p, 3).transpose(2, 3).reshape(-1, gh * p, gw * p, 3)


class Network(Layers):
    """Maps z_tau of [B, F] frames and their past to x^ of the frames after the first `clean` ones, and to
    reward and end of the clean frames if the world has the outcome head."""

    def __init__(self, tensors: dict[str, Tensor], config: Config):
        super().__init__(tensors)
        self.config, self.d = config, config.dynamics
        self.channels = config.tokenizer["channels"]

    def conditioning(self, name: str, actions: Tensor, signal: Tensor, steps: Tensor):
        k = torch.arange(SIGNAL_FEATURES, dtype=torch.float32) * math.pi
        features = (signal.unsqueeze(-1) * k).cos()
        embedded = F.linear(features, self[f"{name}.signal.weight"])
        return F.embedding(actions, self[f"{name}.action"]), embedded + F.embedding(steps, self[f"{name}.step"])

    def attention(self, x: Tensor, name: str, over_time: bool, mask: Tensor | None) -> Tensor:
        b, f, s, w = x.shape
        parameters = self[f"{name}.attention"]
        heads = parameters.shape[0]
        qkv = F.linear(self.norm(x, f"{name}.norm"), self[f"{name}.qkv.weight"])
        qkv = qkv.view(b, f, s, 3, heads, w // heads)
        # [3, B, sequences, heads, L, d]
        qkv = qkv.permute(3, 0, 2, 4, 1, 5) if over_time else qkv.permute(3, 0, 1, 4, 2, 5)
        q, k, v = qkv.unbind(0)
        q = q * (q.square().sum(-1, keepdim=True) + NORM_EPS).rsqrt()
        k = k * (k.square().sum(-1, keepdim=True) + NORM_EPS).rsqrt()
        logits = (q * parameters[:, :1].view(heads, 1, 1)) @ k.transpose(-1, -2)
        if mask is not None:
            # An additional column hides frames that are not visible.
            bias = F.pad(parameters[:, 1:], (0, 1), value=-math.inf)
            logits = logits + bias[:, mask]
        y = torch.softmax(logits, -1) @ v
        y = y.permute(0, 3, 1, 2, 4) if over_time else y.permute(0, 1, 3, 2, 4)
        return x + F.linear(y.reshape(b, f, s, w), self[f"{name}.out.weight"])

    def mask(self, frames: int, clean_frames: int) -> Tensor:
        """The bias column for each pair of frames; the last column hides."""
        window = self.d["context"]
        i, j = torch.arange(frames).view(-1, 1), torch.arange(frames).view(1, -1)
        time, clean = i % clean_frames, i < clean_frames
        visible = (j < clean_frames) & ((j < time) | (clean & (j == time)))
        distance = torch.where(visible, time - j, window)
        distance = torch.where(i == j, 0, distance)
        return torch.where(distance < window, distance, window)

    def forward(self, latents, past, actions, signal, steps, clean: int):
        (gh, gw), m, d = self.config.grid, self.d["merge"], self.d
        b, f = actions.shape
        inputs = torch.cat((latents, past), -1).view(b * f, gh, gw, -1)
        action, level = self.conditioning("stem", actions, signal, steps)
        cells = self.conv(inputs, "stem.conv") + (action + level).view(b * f, 1, 1, -1)
        cells = self.block(cells, "stem.block")
        sw = cells.shape[-1]
        merged = cells.view(b * f, gh // m, m, gw // m, m, sw).transpose(2, 3)
        latent = F.linear(merged.reshape(b, f, -1, m * m * sw), self["merge.weight"])
        action, level = self.conditioning("token", actions, signal, steps)
        registers = latent.new_zeros(b, f, d["registers"], d["width"])
        x = torch.cat((latent, action.unsqueeze(2), level.unsqueeze(2), registers), 2)
        x = x + self["position"]
        mask = self.mask(f, clean)
        time_layers = [i for i in range(d["depth"]) if (i + 1) % d["time_every"] == 0]
        outcome = None
        for i in range(d["depth"]):
            x = self.attention(x, f"layers.{i}.space", False, None)
            if i in time_layers:
                x = self.attention(x, f"layers.{i}.time", True, mask)
            if i == (time_layers[-1] if time_layers else 0):
                if d.get("outcome", 0):
                    token = self.norm(x[:, :clean, latent.shape[2] + 1], "outcome.norm")
                    h = F.silu(F.linear(token, self["outcome.up.weight"], self["outcome.up.bias"]))
                    outcome = F.linear(h, self["outcome.out.weight"], self["outcome.out.bias"])
                # After the last temporal attention, the clean copy is not needed.
                x = x[:, clean:]
                cells = cells.view(b, f, gh, gw, sw)[:, clean:].reshape(-1, gh, gw, sw)
                inputs = inputs.view(b, f, gh, gw, -1)[:, clean:].reshape(cells.shape[0], gh, gw, -1)
            h = F.linear(self.norm(x, f"layers.{i}.mlp.norm"), self[f"layers.{i}.mlp.up.weight"])
            a, g = h.chunk(2, -1)
            x = x + F.linear(F.silu(a) * g, self[f"layers.{i}.mlp.down.weight"])
        latent = self.norm(x[:, :, : latent.shape[2]], "norm")
        back = F.linear(latent, self["unmerge.weight"]).view(-1, gh // m, gw // m, m, m, sw)
        cells = cells + back.transpose(2, 3).reshape(cells.shape)
        h = self.norm(self.block(cells, "head.block"), "head.norm")
        out = F.linear(h, self["head.out.weight"], self["head.out.bias"])
        out = out + F.linear(inputs, self["skip.weight"])
        return out.view(b, f - clean, gh, gw, self.channels), outcome
