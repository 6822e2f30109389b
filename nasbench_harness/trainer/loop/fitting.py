"""Stacks of seeds that fit into the memory of a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from nasbench_harness.errors import HarnessError
from nasbench_harness.trainer.loop.devices import (
    Execution,
    is_out_of_memory,
    needed_memory,
    release_memory,
    watch_memory,
)
from nasbench_harness.trainer.recipe import Recipe

Answer = TypeVar("Answer")


def with_fitting_stack(
    architecture: str, recipe: Recipe, execution: Execution, call: Callable[[Recipe, torch.device], Answer]
) -> Answer:
    """Result of ``call`` for the recipe, with its stack halved until it fits into memory.

    Args:
        architecture: Named in the error.
        recipe: Its stack is the largest one.
        execution: Device and arithmetic.
        call: Function (recipe with a stack to try, device) -> result.

    Raises:
        InvalidInputError: The device does not support this execution.
        HarnessError: Not even one seed fits.
    """
    device, needed, free = execution.checked_device(), "", ""
    for stack in _halvings(recipe.stack):
        watch_memory(device)
        try:
            return call(dataclasses.replace(recipe, stack=stack), device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            needed = needed_memory(device, error)  # not the error: it would keep its tensors alive
        free = release_memory(device)
    raise HarnessError(f"{architecture} does not fit into the memory of {device}: {needed}{free}")


def _halvings(stack: int) -> Iterator[int]:
    while stack:
        yield stack
        stack //= 2
