"""Things that adapters to other packages share: their versions, seeds, and losses without a value."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from nasbench_harness import Evaluation, InvalidInputError, RunStream

MAX_IMPOSSIBLE = 1_000  # proposals in a row that are no architecture


def installed_version(package: str) -> str:
    """Version of a package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def check_version(package: str, wanted: str) -> None:
    """Refuse runs of a version that is not the installed one.

    Raises:
        InvalidInputError: Names both.
    """
    found = installed_version(package)
    if found != wanted:
        raise InvalidInputError(f"{package} {found} is installed, and the study names {wanted}: install that version")


def seed_of(rng: RunStream) -> int:
    """A seed for a library's own generator, drawn from the run's stream."""
    return int(rng.integers(2**31))


class Losses:
    """Losses as a library may see them: one without a value, or infeasible, counts as the worst so far."""

    def __init__(self, num_objectives: int) -> None:
        self._worst = [0.0] * num_objectives
        self._has_any = False

    def of(self, evaluation: Evaluation | None) -> list[float]:
        """One finite loss for each objective; None stands for a proposal that is no architecture."""
        has_value = evaluation is not None and all(value < float("inf") for value in evaluation.values)
        if evaluation is None or not has_value or not evaluation.feasible:
            return list(self._worst)
        values = list(evaluation.values)
        pairs = zip(values, self._worst, strict=True)
        self._worst = [max(pair) for pair in pairs] if self._has_any else list(values)
        self._has_any = True
        return values
