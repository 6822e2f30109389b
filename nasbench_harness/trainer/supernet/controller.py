"""The controller of ENAS: an LSTM that samples the operations of a cell one after the other.

Pham, Guan, Zoph, Le and Dean, "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018; sizes as in the
code that Dong and Yang published with NAS-Bench-201. Deviations: that code draws only the start, the embedding, the
weights of the first layer and of the readout within ±.1. It leaves the rest as torch draws them, and each layer has two
biases.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.trainer.supernet.network import NUM_EDGES, NUM_OPERATIONS

_BOUND = 0.1  # all initial values are within ± this


class Sampled(NamedTuple):
    """A batch of sampled cells.

    Attributes:
        choices: Operation of each edge, shape (num_cells, num_edges).
        log_probability: Logarithm of each cell's probability, shape (num_cells,).
        entropy: Sum of the entropies of its decisions, shape (num_cells,).
    """

    choices: Ints
    log_probability: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """Two layers of LSTM, an embedding of the last operation, and logits 2.5 · tanh(logits / 5).

    Args:
        seed: Seed of the initial values.
        num_edges: Number of decisions.
        num_operations: Number of choices of each.
        size: Units of a layer.
        num_layers: Number of layers.
    """

    def __init__(
        self,
        seed: int,
        num_edges: int = NUM_EDGES,
        num_operations: int = NUM_OPERATIONS,
        size: int = 32,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        self.num_edges, self.num_layers, self.size = num_edges, num_layers, size
        shapes: dict[str, tuple[int, ...]] = {"start": (size,), "embedding": (num_operations, size)}
        for layer in range(num_layers):
            shapes |= {f"input_{layer}": (4 * size, size), f"hidden_{layer}": (4 * size, size)}
            shapes |= {f"bias_{layer}": (4 * size,)}
        shapes |= {"readout": (num_operations, size), "readout_bias": (num_operations,)}
        for name, shape in shapes.items():
            key = hashlib.sha256(f"{seed} controller {name}".encode()).digest()[:8]
            generator = torch.Generator().manual_seed(int.from_bytes(key, "big", signed=True))
            drawn = torch.empty(shape).uniform_(-_BOUND, _BOUND, generator=generator)
            self.register_parameter(name, nn.Parameter(drawn))

    def sample(self, uniforms: AnyArray) -> Sampled:
        """Cells of these draws.

        Args:
            uniforms: Draws from [0, 1), shape (num_cells, num_edges).
        """
        return self._run(len(uniforms), uniforms=uniforms)

    def score(self, choices: Ints) -> Sampled:
        """Probabilities of given cells, shape (num_cells, num_edges)."""
        return self._run(len(choices), choices=choices)

    def _run(self, num_cells: int, uniforms: AnyArray | None = None, choices: Ints | None = None) -> Sampled:
        device, dtype = self.start.device, self.start.dtype
        inputs = self.start.expand(num_cells, -1)
        states = [(torch.zeros(num_cells, self.size, device=device, dtype=dtype),) * 2 for _ in range(self.num_layers)]
        drawn, log_probabilities, entropies = [], [], []
        for edge in range(self.num_edges):
            for layer in range(self.num_layers):
                states[layer] = self._cell(layer, inputs, *states[layer])
                inputs = states[layer][0]
            logits = 2.5 * torch.tanh(functional.linear(inputs, self.readout, self.readout_bias) / 5.0)
            log_p = logits.log_softmax(1)
            if choices is not None:
                chosen = torch.as_tensor(np.ascontiguousarray(choices[:, edge]), device=device)
            else:
                chosen = _drawn(log_p, uniforms[:, edge])  # type: ignore[index]  # one of both is given
            drawn.append(chosen)
            log_probabilities.append(log_p.gather(1, chosen[:, None])[:, 0])
            entropies.append(-(log_p.exp() * log_p).sum(1))
            inputs = self.embedding[chosen]
        sampled = torch.stack(drawn, 1).cpu().numpy()
        return Sampled(sampled, torch.stack(log_probabilities).sum(0), torch.stack(entropies).sum(0))

    def _cell(self, layer: int, inputs: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        gates = (
            functional.linear(inputs, getattr(self, f"input_{layer}"), getattr(self, f"bias_{layer}"))
            + hidden @ getattr(self, f"hidden_{layer}").T
        )
        into, forget, new, out = gates.chunk(4, 1)
        memory = torch.sigmoid(forget) * memory + torch.sigmoid(into) * torch.tanh(new)
        return torch.sigmoid(out) * torch.tanh(memory), memory


def _drawn(log_p: Tensor, uniforms: AnyArray) -> Tensor:
    """One choice for each row: the first whose cumulative probability exceeds the draw."""
    cumulative = log_p.detach().exp().cumsum(1)
    thresholds = torch.as_tensor(np.ascontiguousarray(uniforms), dtype=cumulative.dtype, device=cumulative.device)
    below = (cumulative <= thresholds[:, None]).sum(1)
    return below.clamp(max=log_p.shape[1] - 1)
