"""Steps as CUDA graphs: the kernels of a step are recorded once and started together ever after."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

NUM_WARM_UPS = 3  # what libraries prepare on first use must not be recorded

Recorder = Callable[[Callable[[], None]], Callable[[], None]]


class RecordedStep:
    """Runs a step as it is at first, then from a recording.

    A recording repeats the same kernels on the same memory, so inputs are copied to where they lay when it was made.
    A step must put its results into tensors that exist before it, and read nothing else that changes. Inputs of other
    shapes than the first ones run as they are. A recording keeps the memory of a whole step for itself, so that such
    inputs need more memory than without.

    Args:
        record: Records what a function does on the device, without doing it; returns what repeats it.
    """

    def __init__(self, record: Recorder) -> None:
        self._record = record
        self._shapes: list[torch.Size] = []
        self._num_warm_ups = 0
        self._inputs: list[Tensor] = []
        self._repeat: Callable[[], None] | None = None

    def __call__(self, step: Callable[..., None], *inputs: Tensor) -> None:
        """Do the step, always the same one, with these inputs."""
        shapes = [one.shape for one in inputs]
        self._shapes = self._shapes or shapes
        if shapes != self._shapes or self._num_warm_ups < NUM_WARM_UPS:
            self._num_warm_ups += shapes == self._shapes
            step(*inputs)
            return
        if self._repeat is None:
            self._inputs = [one.clone() for one in inputs]
            self._repeat = self._record(lambda: step(*self._inputs))
        for place, one in zip(self._inputs, inputs, strict=True):
            place.copy_(one)
        self._repeat()


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Record the kernels that a function starts on the current stream, which must be one of ``recordable``."""
    gc.collect()  # an older recording that dies later would take the workspaces of this one with it
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        work()
    return graph.replay


@contextmanager
def recordable(device: torch.device) -> Iterator[None]:
    """Work on a stream that can be recorded; the default one cannot."""
    stream = _stream(torch.cuda.current_device() if device.index is None else device.index)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


@cache
def _stream(index: int) -> torch.cuda.Stream:
    """Always the same for a device, because memory is kept by stream."""
    return torch.cuda.Stream(torch.device("cuda", index))
