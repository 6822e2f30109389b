"""Optimizers of a weight-sharing search: SGD with momentum for the weights, Adam for the architecture.

``torch.optim`` loads torch's compiler when an optimizer is made, a second and 50 MB in every process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nasbench_harness.trainer.supernet.settings import Settings


class WeightOptimizer:
    """SGD with momentum and decay on all weights of a network.

    Attributes:
        parameters: The weights by name.
        momenta: Momentum of each weight that has moved, by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor], settings: Settings) -> None:
        self.parameters, self.settings = dict(parameters), settings
        self.momenta: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the weights that have gradients, which are used up; the others and their momenta stay."""
        settings = self.settings
        moved = [name for name, weight in self.parameters.items() if weight.grad is not None]
        gradients = [self.parameters[name].grad for name in moved]
        if settings.gradient_clip:
            _clip(gradients, settings.gradient_clip)
        for name, gradient in zip(moved, gradients, strict=True):
            weight = self.parameters[name]
            change = gradient.add(weight, alpha=settings.weight_decay)
            if settings.momentum:
                momentum = self.momenta.get(name)
                if momentum is None:
                    momentum = self.momenta[name] = change.clone()
                else:
                    momentum.mul_(settings.momentum).add_(change)
                change = change.add(momentum, alpha=settings.momentum) if settings.nesterov else momentum
            weight.add_(change, alpha=-rate)
            weight.grad = None

    def forget_gradients(self) -> None:
        """Drop what a step of the architecture left behind."""
        for weight in self.parameters.values():
            weight.grad = None

    def state(self) -> dict[str, Any]:
        """The momenta."""
        return dict(self.momenta)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.momenta = dict(state)


class Adam:
    """Adam with decay in the gradient (Kingma and Ba, ICLR 2015).

    Args:
        parameters: Parameters by name.
        rate: Learning rate.
        betas: Decay rates of the two moments.
        epsilon: Constant in the denominator.
        decay: Weight decay.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], rate: float, betas: tuple[float, float], epsilon: float, decay: float
    ) -> None:
        self.parameters = dict(parameters)
        self.rate, self.betas, self.epsilon, self.decay = rate, betas, epsilon, decay
        self.num_steps = 0
        self.first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.parameters.items()}

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor], settings: Settings) -> Adam:
        """The optimizer that settings describe."""
        return cls(parameters, settings.alpha_rate, settings.alpha_betas, settings.alpha_epsilon, settings.alpha_decay)

    @torch.no_grad()
    def step(self, clip: float = 0.0) -> None:
        """Move all parameters; their gradients are used up.

        Args:
            clip: Largest norm of the gradient; 0: no bound.
        """
        self.num_steps += 1
        beta_1, beta_2 = self.betas
        gradients = {
            name: torch.zeros_like(value) if value.grad is None else value.grad
            for name, value in self.parameters.items()
        }
        if clip:
            _clip(list(gradients.values()), clip)
        for name, parameter in self.parameters.items():
            gradient = gradients[name].add(parameter, alpha=self.decay)
            self.first[name].mul_(beta_1).add_(gradient, alpha=1 - beta_1)
            self.second[name].mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
            scale = (self.second[name] / (1 - beta_2**self.num_steps)).sqrt_().add_(self.epsilon)
            parameter.addcdiv_(self.first[name], scale, value=-self.rate / (1 - beta_1**self.num_steps))
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """Moments and number of steps."""
        return {"first": self.first, "second": self.second, "steps": self.num_steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.first, self.second, self.num_steps = dict(state["first"]), dict(state["second"]), int(state["steps"])


def _clip(gradients: list[Tensor], largest: float) -> None:
    """Scale gradients so that their common norm is at most this."""
    if not gradients:
        return
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
