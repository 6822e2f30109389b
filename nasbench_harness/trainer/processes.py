"""Many trainings in parallel: one process and one thread each, the longest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed

from nasbench_harness.trainer.data import ImageData
from nasbench_harness.trainer.devices import torch_device
from nasbench_harness.trainer.recipe import Recipe
from nasbench_harness.trainer.training import TrainingResult, network_structure, train

Job = tuple[str, Sequence[int]]


def train_many(
    jobs: Sequence[Job],
    recipe: Recipe,
    data: ImageData,
    device: str = "auto",
    num_processes: int | None = None,
    *,
    on_result: Callable[[list[TrainingResult]], None],
    deterministic: bool = False,
    keep_networks: bool = False,
) -> None:
    """Train every job and hand over its results as soon as it is done, in any order.

    On a CPU the jobs run in fresh processes (spawn), which get the data without its test part; on other devices one
    after the other here. Results do not depend on the number of processes.

    Args:
        jobs: Architectures, each with its training seeds.
        recipe: All rules.
        data: Images.
        device: As for ``train``.
        num_processes: At most so many; one for each core if left out.
        on_result: Called in this process with the results of one job.
        deterministic: As for ``train``.
        keep_networks: As for ``train``.

    Raises:
        InvalidInputError: An architecture or the device cannot be used; nothing was trained then.
    """
    kind = torch_device(device).type
    how = {"deterministic": deterministic, "keep_networks": keep_networks}
    ordered = longest_first(jobs, recipe, data)
    num_processes = min(num_processes or os.cpu_count() or 1, len(ordered))
    if kind != "cpu" or num_processes <= 1:
        for architecture, seeds in ordered:
            on_result(train(architecture, recipe, data, seeds, device, **how))
        return
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(num_processes)  # loky starts fresh interpreters
    try:
        sent = data.without_test()
        futures = [
            executor.submit(train, architecture, recipe, sent, seeds, "cpu", **how) for architecture, seeds in ordered
        ]
        for future in as_completed(futures):
            on_result(future.result())
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def longest_first(jobs: Sequence[Job], recipe: Recipe, data: ImageData) -> list[Job]:
    """The jobs by falling operations, which seconds roughly follow.

    Raises:
        InvalidInputError: An architecture cannot be used.
    """

    def size(job: Job) -> int:
        architecture, seeds = job
        return network_structure(architecture, recipe, data).flops(data.side) * -(-len(seeds) // recipe.stack)

    return sorted(jobs, key=size, reverse=True)
