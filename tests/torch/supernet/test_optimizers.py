"""The optimizers against torch's."""

import dataclasses

import pytest
import torch

from nasbench_harness.trainer.supernet.optimizers import Adam, WeightOptimizer
from nasbench_harness.trainer.supernet.settings import settings_of


def pair():
    generator = torch.Generator().manual_seed(0)
    start = {name: torch.randn(3, 2, dtype=torch.float64, generator=generator) for name in "abc"}
    ours = {name: value.clone().requires_grad_() for name, value in start.items()}
    theirs = {name: value.clone().requires_grad_() for name, value in start.items()}
    return ours, theirs


def with_gradients(step, *groups):
    generator = torch.Generator().manual_seed(step)
    for name in "abc":
        gradient = torch.randn(3, 2, dtype=torch.float64, generator=generator)
        for group in groups:
            group[name].grad = None if name == "b" and step % 2 else gradient.clone()


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("nesterov", [True, False])
def test_weights_move_as_with_torch(nesterov, clip):
    ours, theirs = pair()
    settings = dataclasses.replace(settings_of("nb201-official", "gdas"), nesterov=nesterov, gradient_clip=clip)
    optimizer = WeightOptimizer(ours, settings)
    reference = torch.optim.SGD(theirs.values(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=nesterov)
    for step in range(5):
        with_gradients(step, ours, theirs)
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs.values(), clip)
        optimizer.step(0.1)
        reference.step()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-12)
            assert ours[name].grad is None


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_adam_moves_as_torchs(clip):
    ours, theirs = pair()
    optimizer = Adam(ours, 1e-2, (0.5, 0.999), 1e-3, 1e-3)
    reference = torch.optim.Adam(theirs.values(), lr=1e-2, betas=(0.5, 0.999), eps=1e-3, weight_decay=1e-3)
    for step in range(0, 10, 2):
        with_gradients(step, ours, theirs)
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs.values(), clip)
        optimizer.step(clip)
        reference.step()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-12)
