#!/usr/bin/env python3
"""Computes reference values for crates/driftless-flow/tests/reference.rs with public
flow matching libraries.

    pip install -r scripts/reference/requirements.txt
    python scripts/reference/flow.py

rewrites crates/driftless-flow/tests/data/flow_*.json in the repository that holds this script; `git diff` then shows
whether anything changed. Python 3.11 or later, no GPU; the seed is fixed, and another processor
may change the last digits.

Asked are flow-matching (schedulers, AffineProbPath, ScheduleTransformedModel, ODESolver with
torchdiffeq's methods) and torchcfm (its matchers, and OTPlanSampler with POT's exact solver). In
both, as in Driftless, t = 0 is noise and t = 1 is data, x_0 is noise and x_1 data. torchcfm's
`sigma` is the width of additional noise around the path, 0 here; flow-matching's `sigma_t` is
the share of the noise, Driftless' σ.

What no library has is written here: the variance-exploding scheduler, and a mixture of Gaussians
with its velocity and log-density in closed form. σ′ of the one and the score of the other are
torch's automatic derivatives.
"""

import json
import math
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import ot
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

from flow_matching.path import AffineProbPath
from flow_matching.path.scheduler import (
    CondOTScheduler,
    CosineScheduler,
    ScheduleTransformedModel,
    Scheduler,
    SchedulerOutput,
    VPScheduler,
)
from flow_matching.solver import ODESolver
from flow_matching.utils import ModelWrapper
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    TargetConditionalFlowMatcher,
    VariancePreservingConditionalFlowMatcher,
)
from torchcfm.optimal_transport import OTPlanSampler
from torchdiffeq import odeint

SEED = 20251
OUT = Path(__file__).resolve().parents[2] / "crates/driftless-flow/tests/data"


class ExplodingScheduler(Scheduler):
    """α = 1, σ = most · (least / most)^t; no library has it, so it is implemented here."""

    def __init__(self, least, most):
        self.least, self.most = least, most

    def __call__(self, t):
        sigma = lambda t: self.most * (self.least / self.most) ** t
        sigma_t, d_sigma_t = torch.func.jvp(sigma, (t,), (torch.ones_like(t),))
        one = torch.ones_like(t)
        return SchedulerOutput(alpha_t=one, sigma_t=sigma_t, d_alpha_t=0 * one, d_sigma_t=d_sigma_t)

    def snr_inverse(self, snr):
        return torch.log(snr * self.most) / math.log(self.most / self.least)


# Driftless' name for each path, and the library that computes it.
PATHS = [
    ("linear", CondOTScheduler()),
    ("cosine", CosineScheduler()),
    ({"exploding": {"least": 0.05, "most": 8.0}}, ExplodingScheduler(0.05, 8.0)),
]

# In Driftless the SDE's time runs from data to noise: 1 − t.
VP_SDE = ({"vp_sde": {"least": 0.1, "most": 20.0}}, VPScheduler(beta_min=0.1, beta_max=20.0))


class Mixture:
    """A mixture of isotropic Gaussians as data, and its marginals on affine paths."""

    weights = torch.tensor([0.5, 0.3, 0.2])
    means = torch.tensor([[1.5, 0.5], [-1.0, 1.25], [0.25, -2.0]])
    deviations = torch.tensor([0.4, 0.25, 0.6])

    @classmethod
    def record(cls):
        return {
            "weights": cls.weights.tolist(),
            "means": cls.means.tolist(),
            "deviations": cls.deviations.tolist(),
        }

    @classmethod
    def parts(cls, scheduler, x, t):
        """Coefficients, and for every component: offset from its mean, variance, log weight."""
        c = scheduler(t.reshape(-1, 1))
        offset = x[:, None] - c.alpha_t[..., None] * cls.means
        variance = (c.alpha_t * cls.deviations) ** 2 + c.sigma_t**2
        log_weight = (
            torch.log(cls.weights)
            - offset.square().sum(2) / (2 * variance)
            - torch.log(2 * math.pi * variance) * (x.shape[1] / 2)
        )
        return c, offset, variance, log_weight

    @classmethod
    def log_density(cls, scheduler, x, t):
        return torch.logsumexp(cls.parts(scheduler, x, t)[3], dim=1)

    @classmethod
    def velocity(cls, scheduler, x, t):
        c, offset, variance, log_weight = cls.parts(scheduler, x, t)
        growth = c.d_alpha_t * c.alpha_t * cls.deviations**2 + c.d_sigma_t * c.sigma_t
        each = c.d_alpha_t[..., None] * cls.means + (growth / variance)[..., None] * offset
        return (torch.softmax(log_weight, dim=1)[..., None] * each).sum(1)

    @classmethod
    def score(cls, scheduler, x, t):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(cls.log_density(scheduler, x, t).sum(), x)[0]


class Field(ModelWrapper):
    """The mixture's velocity in the form that flow-matching's solvers expect."""

    def __init__(self, scheduler):
        super().__init__(None)
        self.scheduler = scheduler

    def forward(self, x, t):
        return Mixture.velocity(self.scheduler, x, t)


def paths(draw):
    """Coefficients, samples and conversions of every path, and the mixture on it."""
    inner = torch.tensor([0.02, 0.2, 0.5, 0.75, 0.98])
    found = []
    for name, scheduler in PATHS:
        t = torch.cat([inner, torch.tensor([0.0, 1.0])])
        c = scheduler(t)
        path = AffineProbPath(scheduler)
        x_0, x_1 = draw(5, 3), draw(5, 3)
        sample = path.sample(x_0=x_0, x_1=x_1, t=inner)
        x_t, wide = sample.x_t, inner[:, None]
        # A plausible network output for x_t, not the sample it was made from.
        guess = draw(5, 3)
        conversions = {
            f"{a}_to_{b}": getattr(path, f"{a}_to_{b}")(guess, x_t, wide)
            for a, b in [
                ("target", "velocity"),
                ("target", "epsilon"),
                ("epsilon", "velocity"),
                ("epsilon", "target"),
                ("velocity", "target"),
                ("velocity", "epsilon"),
            ]
        }
        x = draw(5, 2)
        velocity = Mixture.velocity(scheduler, x, inner)
        found.append(
            {
                "path": name,
                "scheduler": type(scheduler).__name__,
                "t": t,
                "alpha_t": c.alpha_t,
                "sigma_t": c.sigma_t,
                "d_alpha_t": c.d_alpha_t,
                "d_sigma_t": c.d_sigma_t,
                "snr": (c.alpha_t / c.sigma_t)[:5],
                "snr_inverse": scheduler.snr_inverse((c.alpha_t / c.sigma_t)[:5]),
                "sample": {
                    "t": inner,
                    "x_0": x_0,
                    "x_1": x_1,
                    "x_t": x_t,
                    "dx_t": sample.dx_t,
                    "guess": guess,
                    **conversions,
                },
                "mixture": {
                    "t": inner,
                    "x": x,
                    "velocity": velocity,
                    "target": path.velocity_to_target(velocity, x, wide),
                    "epsilon": path.velocity_to_epsilon(velocity, x, wide),
                    "score": Mixture.score(scheduler, x, inner),
                },
            }
        )
    name, scheduler = VP_SDE
    c = scheduler(inner)
    ratio = c.alpha_t / c.sigma_t
    diffusion = {
        **name,
        "t": inner,
        "ratio": ratio,
        "drift": -c.d_alpha_t / c.alpha_t,
        "noise": 2 * c.sigma_t * (c.sigma_t * c.d_alpha_t / c.alpha_t - c.d_sigma_t),
    }
    return {"paths": found, "diffusion": diffusion}


def transforms(draw):
    """The mixture's velocity on one path, turned into that on another."""
    found = []
    for original_name, original in [*PATHS, VP_SDE]:
        for new_name, new in PATHS:
            if original_name == new_name:
                continue
            # Ratios α/σ that all paths reach: the exploding path has 1/8 to 20.
            r = new.snr_inverse(torch.tensor([0.15, 0.5, 1.0, 4.0, 15.0]))
            c = new(r)
            t_r = original.snr_inverse(c.alpha_t / c.sigma_t)
            x = draw(5, 2) * (c.alpha_t**2 + c.sigma_t**2).sqrt()[:, None]
            model = ScheduleTransformedModel(Field(original), original, new)
            found.append(
                {
                    "original": original_name,
                    "new": new_name,
                    "r": r,
                    "t_r": t_r,
                    "s_r": c.sigma_t / original(t_r).sigma_t,
                    "x": x,
                    "u_r": model(x=x, t=r[:, None]),
                }
            )
    return {"mixture": Mixture.record(), "transforms": found}


# A grid with uneven steps.
UNEVEN = [0.0, 0.05, 0.2, 0.3, 0.625, 0.9, 1.0]


def solutions(draw):
    """Every method on the mixture's field, from noise to data and back."""
    runs = []

    def solve(path, start, method, grid, **how):
        name, scheduler = path
        states = ODESolver(Field(scheduler)).sample(
            start,
            method=method,
            time_grid=torch.tensor(grid),
            return_intermediates=True,
            **{"step_size": None, **how},
        )
        runs.append(
            {
                "path": name,
                "method": method,
                "time_grid": grid,
                **how,
                "start": start,
                "states": states[1:],
            }
        )

    up, down = [0.0, 1.0], [1.0, 0.0]
    noise, data = draw(4, 2), 0.5 * draw(4, 2) + Mixture.means[[0, 1, 2, 0]]
    for path in PATHS[:2]:
        for method in ["euler", "midpoint", "heun2"]:
            solve(path, noise, method, up, step_size=1 / 8)
            solve(path, data, method, down, step_size=1 / 16)
            solve(path, noise, method, UNEVEN)
        for tolerance in [1e-5, 1e-11]:
            solve(path, noise, "dopri5", up, atol=tolerance, rtol=tolerance)
            solve(path, data, "dopri5", down, atol=tolerance, rtol=tolerance)
        # ODESolver lets dopri5 choose its steps; torchdiffeq accepts given ones.
        fixed = {"first_step": 1 / 8, "min_step": 1 / 8, "max_step": 1 / 8}
        scheduler = path[1]
        field = lambda t, x: Mixture.velocity(scheduler, x, t)
        states = odeint(field, noise, torch.tensor(up), method="dopri5", options=fixed)
        runs.append(
            {
                "path": path[0],
                "method": "dopri5",
                "time_grid": up,
                "step_size": 1 / 8,
                "start": noise,
                "states": states[1:],
            }
        )
    exploding = PATHS[2]
    noise = noise * exploding[1].most
    solve(exploding, noise, "heun2", up, step_size=1 / 16)
    solve(exploding, noise, "dopri5", up, atol=1e-11, rtol=1e-11)
    return {"mixture": Mixture.record(), "runs": runs}


def likelihoods(draw):
    """Log-densities of the mixture's samples by the change of variables."""
    x_1 = 0.5 * draw(5, 2) + Mixture.means[[0, 1, 2, 0, 1]]
    down = torch.tensor([1.0, 0.0])
    runs = []

    def measure(path, method, probe_seed=None, **how):
        name, scheduler = path
        probe = None
        if probe_seed is not None:
            # compute_likelihood draws the same values again.
            torch.manual_seed(probe_seed)
            probe = (torch.randn_like(x_1) < 0) * 2.0 - 1.0
            torch.manual_seed(probe_seed)
        variance = scheduler(torch.tensor(0.0)).sigma_t ** 2
        log_p0 = lambda x: -0.5 * (x.square() / variance + torch.log(2 * math.pi * variance)).sum(1)
        _, log_p = ODESolver(Field(scheduler)).compute_likelihood(
            x_1,
            log_p0,
            method=method,
            time_grid=down,
            exact_divergence=probe is None,
            **{"step_size": None, **how},
        )
        runs.append({"path": name, "method": method, **how, "probe": probe, "log_p": log_p})

    for path in PATHS[:2]:
        for method in ["euler", "midpoint", "heun2"]:
            measure(path, method, step_size=1 / 16)
        measure(path, "midpoint", probe_seed=SEED, step_size=1 / 16)
        measure(path, "dopri5", atol=1e-10, rtol=1e-10)
    measure(PATHS[2], "heun2", step_size=1 / 16)
    density = Mixture.log_density(CondOTScheduler(), x_1, torch.ones(5))
    return {"mixture": Mixture.record(), "x_1": x_1, "log_density": density, "runs": runs}


def matchers(draw):
    """torchcfm's matchers without additional noise."""
    t = torch.tensor([0.0, 0.1, 0.45, 0.8, 0.99])
    x_0, x_1 = draw(5, 3), draw(5, 3)
    found = {}
    for matcher in [
        ConditionalFlowMatcher(sigma=0.0),
        VariancePreservingConditionalFlowMatcher(sigma=0.0),
        TargetConditionalFlowMatcher(sigma=0.0),
    ]:
        # The last one draws the noise itself, from x_1 alone; x_0 is that draw.
        epsilon = x_0 if isinstance(matcher, TargetConditionalFlowMatcher) else torch.zeros_like(x_0)
        x_t = matcher.sample_xt(x_0, x_1, t[:, None], epsilon)
        u_t = matcher.compute_conditional_flow(x_0, x_1, t, x_t)
        found[type(matcher).__name__] = {"x_t": x_t, "u_t": u_t}
    return {"t": t, "x_0": x_0, "x_1": x_1, "matchers": found}


def pairings(draw):
    """Exact optimal transport between batches, under squared Euclidean cost."""
    found = []
    sampler = OTPlanSampler(method="exact")
    for count, dimension in [(1, 2), (4, 1), (8, 2), (16, 3), (33, 5)]:
        x_0, x_1 = draw(count, dimension), 2 * draw(count, dimension) + 0.5
        plan = sampler.get_map(x_0, x_1)
        cost = torch.cdist(x_0, x_1).square().numpy()
        uniform = np.full(count, 1 / count)
        np.random.seed(SEED)
        i, j = sampler.sample_map(plan, count)
        found.append(
            {
                "x_0": x_0,
                "x_1": x_1,
                "partner": plan.argmax(1),
                "mean_cost": float(ot.emd2(uniform, uniform, cost)),
                "drawn": np.stack([i, j], axis=1),
            }
        )
        assert np.allclose(plan[np.arange(count), plan.argmax(1)], 1 / count)
    return {"batches": found}


def plain(value):
    """Converts tensors to lists."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.tolist()
    return value


def write(name, asked, values):
    """Writes JSON with one line per list of numbers."""
    made = {
        "by": "scripts/reference/flow.py",
        **{package: version(package) for package in [*asked, "torch"]},
        "dtype": "float64",
        "seed": SEED,
    }
    text = json.dumps({"made": made, **plain(values)}, indent=1, allow_nan=False)
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
    (OUT / name).write_text(text + "\n")


def main():
    generator = torch.Generator().manual_seed(SEED)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    OUT.mkdir(parents=True, exist_ok=True)
    solver = ["flow-matching", "torchdiffeq"]
    write("flow_paths.json", ["flow-matching"], paths(draw))
    write("flow_transforms.json", ["flow-matching"], transforms(draw))
    write("flow_solutions.json", solver, solutions(draw))
    write("flow_likelihoods.json", solver, likelihoods(draw))
    write("flow_matchers.json", ["torchcfm"], matchers(draw))
    write("flow_pairings.json", ["torchcfm", "POT"], pairings(draw))


if __name__ == "__main__":
    main()
