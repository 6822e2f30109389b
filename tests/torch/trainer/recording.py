"""A stand-in for CUDA graphs on the CPU: records operations on tensors, and repeats them on the same memory."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def tensors(values):
    return [value.detach() for value in tree_leaves(values) if isinstance(value, Tensor)]


class Recording(TorchDispatchMode):
    """Keeps each operation with its arguments and results, and what all memory held before.

    Like a graph it knows nothing of the Python around the operations, and repeats them on the memory of the first time.
    """

    def __init__(self):
        super().__init__()
        self.operations, self.before = [], []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        memories = [one.untyped_storage() for one in tensors([args, kwargs])]
        self.before += [(memory, memory.clone()) for memory in memories]
        results = operation(*args, **kwargs)
        self.operations.append((operation, args, kwargs, results))
        return results

    def undo(self):
        for memory, value in reversed(self.before):
            memory.copy_(value)

    @torch.no_grad()
    def repeat(self):
        for operation, args, kwargs, results in self.operations:
            again = operation(*args, **kwargs)
            for old, new in zip(tensors(results), tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(work):
    """Records what ``work`` does, without doing it; returns what repeats it."""
    recording = Recording()
    with recording:
        work()
    recording.undo()
    return recording.repeat
