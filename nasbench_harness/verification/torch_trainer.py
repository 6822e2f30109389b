"""The package's own trainer, as a verification asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_harness import trainer
from nasbench_harness.trainer.recipe import Recipe
from nasbench_harness.verification.journal import Entry

if TYPE_CHECKING:
    from nasbench_harness.verification.verify import VerifyOptions


_LARGEST_STACK = 8


class TorchTrainer:
    """Trains architectures with one recipe on one data set.

    Args:
        recipe: The recipe; one that stacks seeds stacks all of an architecture, at most 8.
        options: Where the data lies, and where and how it is computed.

    Attributes:
        recipe: Name of the recipe.
        data: Name of the data.
        part: How many of the published images were there, in words; empty where all were.
        notes: What a reader of the verdict must know about recipe and data.

    Raises:
        InvalidInputError: torch or the data is missing, or a name is unknown.
    """

    def __init__(self, recipe: Recipe, options: VerifyOptions) -> None:
        stack = min(options.training_seeds, _LARGEST_STACK) if recipe.stack > 1 else 1
        self._recipe = replace(recipe, stack=stack)
        self._data = trainer.load_data(options.data, options.data_dir, options.split)
        self._execution = trainer.Execution(options.device, options.deterministic, options.compile, options.cuda_graphs)
        self._jobs = options.jobs
        self.recipe, self.data, self.part = recipe.name, self._data.name, self._data.part
        notes = {
            "the data was split in halves drawn here, not by the official file (--split)": (
                self._data.split_origin == "drawn"
            ),
            "one epoch shows that everything runs, not which architectures are better": recipe.epochs == 1,
        }
        self.notes = tuple(note for note, holds in notes.items() if holds)

    def key(self, architecture: str, seed: int) -> str:
        """Hash of everything that decides a training's result."""
        return trainer.cache_key(architecture, seed, self._recipe, self._data, self._execution)

    def estimate_seconds(self, architectures: Sequence[str], training_seeds: int) -> float:
        """Measured estimate of all trainings one after the other, extrapolated from one architecture."""
        stacks = -(-training_seeds // self._recipe.stack)
        one = trainer.estimate_seconds(architectures[0], self._recipe, self._data, self._execution)
        return one * stacks * len(architectures)

    def train(self, jobs: Sequence[tuple[str, Sequence[int]]], on_result: Callable[[list[Entry]], None]) -> None:
        """Train every job; results are handed over as they come."""

        def finished(results: list[trainer.TrainingResult]) -> None:
            on_result(
                [
                    Entry(
                        key=self.key(result.architecture, result.seed),
                        architecture=result.architecture,
                        seed=result.seed,
                        accuracy=result.accuracy,
                        curve=result.curve,
                        diverged=result.diverged,
                        seconds=result.seconds,
                        notice=result.notice,
                    )
                    for result in results
                ]
            )

        trainer.train_many(
            jobs,
            self._recipe,
            self._data,
            self._execution,
            self._jobs,
            on_result=finished,
        )
