"""One run of a weight-sharing method: train, note, derive, and continue after a kill."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from nasbench_harness import InvalidInputError, Problem, Progress, ProgressGenerator, RunStream, TrainingData
from nasbench_harness.trainer.supernet import (
    NUM_WATCHED,
    RunState,
    Settings,
    SharedWeights,
    epoch_seconds,
    fixed_cells,
    ranked_accuracies,
    settings_of,
)
from nasbench_strategies._models.weight_sharing.method import Cell, Method

Search = TypeVar("Search", bound=Callable[..., ProgressGenerator])


def checked(method: type[Method]) -> Callable[[Search], Search]:
    """Let the harness check a generator function's hyperparameters, task and budget before any run."""

    def check(problem: Problem, *, preset: str, cost_model: str, **changes: Any) -> None:
        _planned(problem, method, _settings(method, preset, changes), cost_model)

    def mark(function: Search) -> Search:
        function.check = check  # type: ignore[attr-defined]  # functions take attributes
        return function

    return mark


def search(
    problem: Problem, rng: RunStream, method_of: type[Method], preset: str, cost_model: str, **changes: Any
) -> ProgressGenerator:
    """Train epoch by epoch; every epoch is a step of progress that recommends the cell of that moment.

    Args:
        problem: The search view; its training data are the two halves.
        rng: The run's stream; one draw is the seed of everything.
        method_of: The method.
        preset: Name of the preset.
        cost_model: Name of the cost model.
        **changes: Settings that differ from the preset's; 0 and the empty text keep the preset's.
    """
    settings = _settings(method_of, preset, changes)
    seconds = _planned(problem, method_of, settings, cost_model)
    seed = int(rng.uniform() * 2**53)
    shared = SharedWeights(_data(problem), settings, seed)
    with shared.arithmetic():
        method = method_of(shared)
    run = _Run(problem, method, RunState(problem.files.states, settings, shared.device), seconds)
    for epoch, cost_s in enumerate(seconds):
        yield Progress(cost_s, run.after(epoch))
    return run.after(len(seconds) - 1)


class _Run:
    """The epochs of a run, with their notes."""

    def __init__(self, problem: Problem, method: Method, state: RunState, seconds: list[float]) -> None:
        self.problem, self.method, self.state, self.seconds = problem, method, state, seconds
        self.notes: dict[str, Any] = {
            "method": method.name,
            "settings": dataclasses.asdict(method.settings),
            "data": _data(problem).name,
            "halves": _data(problem).halves,
            "device": str(method.shared.device),
            "epochs": [],
        }
        stored = state.read()
        if stored is not None and len(json.loads(stored["notes"])["epochs"]) <= len(seconds):
            self.notes = json.loads(stored["notes"])
            method.shared.restore(stored["shared"])
            method.restore(stored["method"])

    def after(self, epoch: int) -> int | None:
        """Architecture that the run would return after an epoch; the epoch is trained if it is a new one."""
        epochs = self.notes["epochs"]
        if epoch == len(epochs):
            with self.method.shared.arithmetic():
                epochs.append(self._trained(epoch, epochs[-1]["architecture"] if epochs else None))
                if epoch == len(self.seconds) - 1:
                    self.notes["ranking"] = self._ranking()
            # Notes come first: a state is the proof that its epochs are noted, so a kill between both costs one epoch.
            self.problem.files.note(self.notes)
            self.state.write(
                {
                    "notes": json.dumps(self.notes),
                    "shared": self.method.shared.state(),
                    "method": self.method.state(),
                }
            )
        architecture: int | None = epochs[epoch]["architecture"]
        return architecture

    def _trained(self, epoch: int, before: int | None) -> dict[str, Any]:
        method = self.method
        method.train_epoch(epoch)
        is_derived = method.settings.derives(method.name, epoch, len(self.seconds) - 1)
        watched = ranked_accuracies(method.shared, fixed_cells()[:NUM_WATCHED], method.settings.judged_images)
        return {
            "cost_s": self.seconds[epoch],
            "architecture": self._index(method.derive(epoch)) if is_derived else before,
            "alpha": method.alpha(),
            "median_accuracy": float(np.median(watched)),
        }

    def _ranking(self) -> dict[str, Any]:
        cells, settings = fixed_cells(), self.method.settings
        accuracies = ranked_accuracies(self.method.shared, cells, settings.ranking_images)
        return {"architectures": list(cells), "accuracies": accuracies.tolist()}

    def _index(self, cell: Cell) -> int:
        return int(self.problem.space.from_choices(np.array([cell]))[0])


def _settings(method: type[Method], preset: str, changes: dict[str, Any]) -> Settings:
    return settings_of(preset, method.name, **{name: value or None for name, value in changes.items()})


def _data(problem: Problem) -> TrainingData:
    if problem.training_data is None:
        raise InvalidInputError("weight sharing needs training data: name images with --data or --data-dir")
    return problem.training_data


def _planned(problem: Problem, method: type[Method], settings: Settings, cost_model: str) -> list[float]:
    """Simulated seconds of each epoch that the budget has room for.

    Raises:
        InvalidInputError: The space, the task or the budget does not fit.
    """
    data, budget_s = _data(problem), problem.budget.simulated_seconds
    if problem.space.name != "nasbench201":
        raise InvalidInputError(
            f"{method.name} searches the whole space of NAS-Bench-201 cells: leave task {problem.task} out"
        )
    if budget_s is None:
        raise InvalidInputError(f"{method.name} spends simulated seconds and evaluates nothing: set simulated_seconds")

    def cost_s(epoch: int, last: int) -> float:
        derives = settings.derives(method.name, epoch, last)
        return epoch_seconds(cost_model, method.name, problem.task, settings, data, derives)

    num_epochs, spent_s = 0, 0.0
    while num_epochs < settings.epochs and spent_s + cost_s(num_epochs, num_epochs) <= budget_s:
        spent_s += cost_s(num_epochs, settings.epochs)
        num_epochs += 1
    if not num_epochs:
        raise InvalidInputError(
            f"{method.name}: {budget_s:,.15g} simulated seconds are less than the {cost_s(0, 0):,.4g} of one epoch"
        )
    return [cost_s(epoch, num_epochs - 1) for epoch in range(num_epochs)]
