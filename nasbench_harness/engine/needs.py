"""Checks of a strategy's declared needs: they are granted, or the strategy is refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.strategy import Needs
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.view import TaskView


def check_needs(spec: ResolvedStrategy, task: TaskView) -> None:
    """Refuse a strategy if the installation, the task or the protocol cannot meet its needs.

    Args:
        spec: The strategy; its class or generator function may have an attribute ``needs``.
        task: The task under the protocol.

    Raises:
        InvalidInputError: Names the first thing that is missing, and how to get it.
    """
    needs = getattr(spec.target, "needs", Needs())
    if not isinstance(needs, Needs):
        raise InvalidInputError(f"strategy {spec.label}: needs must be Needs(…), not {needs!r}")
    if spec.is_generator and task.protocol.workers > 1:
        raise InvalidInputError(
            f"strategy {spec.label} is a generator, which has one evaluation under way: it cannot use "
            f"{task.protocol.workers} workers; leave it out, or write it as a class"
        )
    for refusal in _refusals(needs, task):
        raise InvalidInputError(f"strategy {spec.label} needs {refusal}")


def _refusals(needs: Needs, task: TaskView) -> Iterator[str]:
    if needs.torch and find_spec("torch") is None:
        yield "torch, which is not installed: pip install 'nasbench-harness[torch]'"
    for package in needs.packages:
        if find_spec(package) is None:
            yield f"{package}, which is not installed: pip install {package}"
    if needs.proxies and not task.has_proxies:
        yield f"training-free scores, and the table of task {task.name} has none: leave the strategy out"
    if needs.num_objectives > len(task.objectives):
        names = ", ".join(objective.metric.name for objective in task.objectives)
        yield (
            f"{needs.num_objectives} objectives, and the protocol gives task {task.name} {len(task.objectives)} "
            f"({names}): name more with objectives, e.g. --objectives {names},params_m, or leave the strategy out"
        )
    if needs.fidelities and len(task.fidelities) < 2:
        num_stored = len(task.table.datasets[task.dataset].fidelities)
        where = (
            f"the protocol reads task {task.name} at {task.fidelity} epochs only: use fidelity=all, or leave the "
            "strategy out"
            if num_stored > 1
            else f"the table of task {task.name} has one: choose a task whose table has several"
        )
        yield f"several fidelities, and {where}"
    if needs.sources and not task.sources:
        yield f"sources, and the protocol names none for task {task.name}: leave the strategy out"
    if needs.training_data and not task.has_training_data:
        yield (
            f"training data, and task {task.name} has none, only its table: choose a task that trains "
            "(`nasbench-harness tables list` shows them)"
        )
