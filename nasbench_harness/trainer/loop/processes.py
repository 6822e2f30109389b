"""Many trainings in parallel: one process and one thread each, the longest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path

from loky import cpu_count
from loky.process_executor import BrokenProcessPool

from nasbench_harness.errors import HarnessError
from nasbench_harness.trainer.data.images import ImageData
from nasbench_harness.trainer.loop.devices import DEFAULT, Execution
from nasbench_harness.trainer.loop.training import TrainingResult, network_structure, train
from nasbench_harness.trainer.recipe import Recipe
from nasbench_harness.workers import stop_workers, submit

Job = tuple[str, Sequence[int]]


def train_many(
    jobs: Sequence[Job],
    recipe: Recipe,
    data: ImageData,
    execution: Execution = DEFAULT,
    num_processes: int | None = None,
    *,
    on_result: Callable[[list[TrainingResult]], None],
    keep_networks: bool = False,
    states: Path | None = None,
) -> None:
    """Train every job and hand over its results as soon as it is done, in any order.

    On a CPU the jobs run in fresh processes (spawn), which stay a while for the next call; on other devices one after
    the other here. Results do not depend on the number of processes, and no training gets the test part.

    Args:
        jobs: Architectures, each with its training seeds.
        recipe: All rules.
        data: Images.
        execution: As for ``train``.
        num_processes: At most so many; one for each core if left out.
        on_result: Called in this process with the results of one job.
        keep_networks: As for ``train``.
        states: As for ``train``.

    Raises:
        InvalidInputError: An architecture or the device cannot be used; nothing was trained then.
        HarnessError: Memory is too small, or a process was killed that had the machine to itself.
    """
    kind = execution.checked_device().type
    call = partial(
        train,
        data=data.without_test(),
        recipe=recipe,
        execution=execution,
        keep_networks=keep_networks,
        states=states,
    )
    ordered = longest_first(jobs, recipe, data)
    num_processes = num_processes_of(kind, num_processes, len(ordered))
    if num_processes <= 1:
        for architecture, seeds in ordered:
            on_result(call(architecture, seeds=seeds))
        return
    # A process that dies takes the others' trainings with it. Often memory was too small for so many.
    lost = _in_processes(call, ordered, num_processes, on_result)
    if lost:
        lost = _in_processes(call, lost, max(1, num_processes // 2), on_result)
    for job in lost:  # one at a time, only the culprit fails
        if _in_processes(call, [job], 1, on_result):
            raise HarnessError(
                f"the process that trained {job[0]} was killed three times, at last when it ran alone; often memory is "
                "too small"
            )


def num_processes_of(kind: str, wanted: int | None, num_jobs: int) -> int:
    """Processes that ``train_many`` uses on a kind of device: one for each core of a CPU if none are asked for."""
    if kind != "cpu":
        return 1
    return min(cpu_count() if wanted is None else wanted, num_jobs)


def _in_processes(
    call: Callable[..., list[TrainingResult]],
    jobs: Sequence[Job],
    num_processes: int,
    on_result: Callable[[list[TrainingResult]], None],
) -> list[Job]:
    """Hand over the results of jobs; returns those that were lost because a process died."""
    futures, lost = {}, []
    try:
        for architecture, seeds in jobs:
            futures[submit(num_processes, call, architecture, seeds=seeds)] = (architecture, seeds)
        for future in as_completed(futures):
            try:
                results = future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
            else:
                on_result(results)
    except BaseException:
        stop_workers()
        raise
    return lost


def longest_first(jobs: Sequence[Job], recipe: Recipe, data: ImageData) -> list[Job]:
    """The jobs by falling operations, which seconds roughly follow.

    Raises:
        InvalidInputError: An architecture cannot be used.
    """

    def size(job: Job) -> int:
        architecture, seeds = job
        return network_structure(architecture, recipe, data).flops(data.side) * -(-len(seeds) // recipe.stack)

    return sorted(jobs, key=size, reverse=True)
