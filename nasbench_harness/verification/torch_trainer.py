"""The package's own trainer, as a verification asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nasbench_harness import trainer
from nasbench_harness.trainer.recipe import Recipe
from nasbench_harness.verification.journal import Entry


class TorchTrainer:
    """Trains architectures with one recipe on one data set.

    Args:
        recipe: The recipe; one that stacks seeds stacks ``training_seeds``.
        source: Name of the data.
        data_dir: Folder or file of data that no package brings.
        split: File with the official halves.
        device: auto, cpu, cuda or mps.
        num_processes: Processes on a CPU; None: one for each core.
        training_seeds: Trainings of each architecture.
        deterministic: The same bits at every repetition on the same GPU.
        compiled: Compile networks first (GPU only).

    Raises:
        InvalidInputError: torch or the data is missing, or a name is unknown.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: str,
        data_dir: Path | None,
        split: Path | None,
        device: str,
        num_processes: int | None,
        training_seeds: int,
        deterministic: bool = False,
        compiled: bool = False,
    ) -> None:
        self._recipe = replace(recipe, stack=training_seeds) if recipe.stack > 1 else recipe
        self._data = trainer.load_data(source, data_dir, split)
        self._device, self._num_processes = device, num_processes
        self._deterministic, self._compiled = deterministic, compiled
        self.notices: list[str] = []
        self.recipe, self.data, self.split_origin = recipe.name, self._data.name, self._data.split_origin

    def key(self, architecture: str, seed: int) -> str:
        """Hash of everything that decides a training's result."""
        return trainer.cache_key(architecture, seed, self._recipe, self._data, self._device, self._compiled)

    def estimate_seconds(self, architectures: Sequence[str], training_seeds: int) -> float:
        """Measured estimate of all trainings one after the other, extrapolated from one architecture."""
        stacks = -(-training_seeds // self._recipe.stack)
        one = trainer.estimate_seconds(architectures[0], self._recipe, self._data, self._device)
        return one * stacks * len(architectures)

    def train(self, jobs: Sequence[tuple[str, Sequence[int]]], on_result: Callable[[list[Entry]], None]) -> None:
        """Train every job; results are handed over as they come."""

        def finished(results: list[trainer.TrainingResult]) -> None:
            self.notices += {result.notice for result in results if result.notice}  # one architecture, so one at most
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
                    )
                    for result in results
                ]
            )

        trainer.train_many(
            jobs,
            self._recipe,
            self._data,
            self._device,
            self._num_processes,
            on_result=finished,
            deterministic=self._deterministic,
            compiled=self._compiled,
        )
