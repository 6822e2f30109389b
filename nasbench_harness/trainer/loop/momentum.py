"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from nasbench_harness.trainer.networks.network import Network
from nasbench_harness.trainer.recipe import Recipe


class Momentum:
    """SGD with momentum on all parameters of a network.

    ``torch.optim.SGD`` loads torch's compiler when it is made, a second and 50 MB in every process; its function alone
    does not.

    Attributes:
        momenta: Momentum of each parameter that has moved, by the parameter's name.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.recipe, self.parameters = recipe, dict(network.named_parameters())
        self.momenta: dict[str, Tensor] = {}
        self.is_fused = next(iter(self.parameters.values())).device.type in ("cpu", "cuda")

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters that have gradients, which are used up; the others stay, and so do their momenta."""
        # Without a path from input to output all layers before the last cell are without gradients.
        moved = [name for name, parameter in self.parameters.items() if parameter.grad is not None]
        # A parameter that moves for the first time starts its momentum; torch starts all of a call or none.
        self._move([name for name in moved if name in self.momenta], rate)
        self._move([name for name in moved if name not in self.momenta], rate)

    def _move(self, names: Sequence[str], rate: float) -> None:
        if not names:
            return
        recipe, moved = self.recipe, [self.parameters[name] for name in names]
        momenta = [self.momenta.get(name) for name in names]
        sgd(
            moved,
            [parameter.grad for parameter in moved],
            momenta,
            fused=self.is_fused,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            lr=rate,
            dampening=0,
            nesterov=recipe.nesterov,
            maximize=False,
        )
        for name, parameter, momentum in zip(names, moved, momenta, strict=True):
            parameter.grad = None
            if momentum is not None:  # without momentum torch keeps none
                self.momenta[name] = momentum
