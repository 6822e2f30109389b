"""The package's own trainer, as a verification asks for it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_harness import trainer
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer.recipe import Recipe
from nasbench_harness.verification.journal import TrainingRecord
from nasbench_harness.verification.running import Estimate

if TYPE_CHECKING:
    from nasbench_harness.verification.verify import VerifyOptions


_LARGEST_STACK = 8
# Cores from which on the small recipes are kept on the CPU. An estimate: a step of theirs starts several hundred
# kernels, about 5 ms on a GPU however small they are, and takes 5 to 20 ms on a core. test_gpu.py measures it.
_ENOUGH_CORES = 4


class TorchTrainer:
    """Trains architectures with one recipe on one data set.

    Args:
        recipe: The recipe; one that stacks seeds stacks all of an architecture, at most 8.
        options: The data, the device and the number of processes.

    Attributes:
        recipe: Name of the recipe.
        data: Name of the data.
        part: Number of the published images that were there, in words; empty if all were.
        unlike: Difference between the images or their halves and the official ones, in words; empty if there is none.
        marks: Digests of recipe, images and split, as in the provenance of a table of the same rules.
        notes: Lines about recipe and data that a reader of the verdict must know.

    Raises:
        InvalidInputError: torch or the data is missing, a name is unknown, or the device takes no processes.
    """

    def __init__(self, recipe: Recipe, options: VerifyOptions) -> None:
        stack = min(options.training_seeds, _LARGEST_STACK) if recipe.stack > 1 else 1
        self._recipe = replace(recipe, stack=stack)
        self._data = trainer.load_data(options.data, options.data_dir, options.split)
        device = options.device if options.compile else chosen_device(options.device, recipe)
        self._execution = trainer.Execution(device, options.deterministic, options.compile)
        self._device = self._execution.checked_device().type
        if options.jobs not in (None, 1) and self._device != "cpu":
            raise InvalidInputError(
                f"--jobs {options.jobs}: on {self._device} trainings run one after the other: leave --jobs out, or use "
                "--device cpu"
            )
        self._jobs = options.jobs
        self.recipe, self.data, self.part = recipe.name, self._data.name, self._data.part
        is_drawn = self._data.split_origin == "drawn"
        self.unlike = "the halves of the images are not the official ones (--split)" if is_drawn else ""
        if self.part:
            self.unlike = f"only {self.part} were there"
        self.marks: Mapping[str, str] = {
            "recipe": recipe.digest,
            "data": self._data.digest,
            "split": self._data.split_digest,
        }
        notes = {
            "the data was split in halves drawn here, not by the official file (--split)": is_drawn,
            "one epoch shows that everything runs, not which architectures are better": recipe.epochs == 1,
        }
        self.notes = tuple(note for note, holds in notes.items() if holds)

    def key(self, architecture: str, seed: int) -> str:
        """Hash of everything that decides a training's result."""
        return trainer.cache_key(architecture, seed, self._recipe, self._data, self._execution)

    def num_params(self, architecture: str) -> int:
        """Parameters of the network of one seed that is trained."""
        return trainer.network_structure(architecture, self._recipe, self._data).num_trained_params()

    def estimate(self, missing: Mapping[str, int]) -> Estimate:
        """Measures the smallest and the largest architecture; the others are between them by their operations."""
        sizes = {
            architecture: trainer.network_structure(architecture, self._recipe, self._data).flops(
                self._data.side, trained_only=True
            )
            for architecture in missing
        }
        ends = sorted({min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)}, key=sizes.__getitem__)
        measured = [trainer.estimate_seconds(one, self._recipe, self._data, self._execution) for one in ends]
        of_a_stack = np.interp(list(sizes.values()), [sizes[one] for one in ends], measured)
        stacks = [-(-count // self._recipe.stack) for count in missing.values()]
        seconds = [float(one * count) for one, count in zip(of_a_stack, stacks, strict=True)]
        num_processes = trainer.num_processes_of(self._device, self._jobs, len(missing))
        return Estimate(sum(seconds), makespan(seconds, num_processes), num_processes, self._device)

    def train(
        self, jobs: Sequence[tuple[str, Sequence[int]]], on_result: Callable[[list[TrainingRecord]], None], states: Path
    ) -> None:
        """Train every job; results are handed over as they come.

        An official recipe is also measured on the sealed test part, after training.
        """
        is_tested = self._recipe.is_official and self._data.sealed.is_there

        def finished(results: list[trainer.TrainingResult]) -> None:
            tests: Iterable[float | None] = [None] * len(results)
            if is_tested:
                tests = trainer.evaluate_sealed(results, self._data.sealed, self._execution.device)
            on_result(
                [
                    TrainingRecord(
                        key=self.key(result.architecture, result.seed),
                        architecture=result.architecture,
                        seed=result.seed,
                        accuracy=result.accuracy,
                        curve=result.curve,
                        diverged=result.diverged,
                        seconds=result.seconds,
                        notice=result.notice,
                        test_accuracy=test,
                    )
                    for result, test in zip(results, tests, strict=True)
                ]
            )

        trainer.train_many(
            jobs,
            self._recipe,
            self._data,
            self._execution,
            self._jobs,
            keep_networks=is_tested,
            on_result=finished,
            states=states,
        )


def chosen_device(device: str, recipe: Recipe) -> str:
    """The device of an option: ``auto`` keeps the small recipes on a CPU that is the faster one for them."""
    is_small = not recipe.is_official
    if device == "auto" and is_small and trainer.num_processes_of("cpu", None, _ENOUGH_CORES) == _ENOUGH_CORES:
        return "cpu"
    return device


def makespan(seconds: Sequence[float], num_processes: int) -> float:
    """Seconds until all jobs are done if each process takes the longest that is left."""
    ends = [0.0] * num_processes
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)
