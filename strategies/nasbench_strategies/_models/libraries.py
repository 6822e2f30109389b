"""Things that adapters to other packages share: their versions, seeds, and losses without a value."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from nasbench_harness import Evaluation, InvalidInputError, RunStream

MAX_IMPOSSIBLE = 1_000  # proposals in a row that are no architecture
WORST = 1e18  # in place of a loss: above all losses, and below 5e20, from which on Nevergrad warns


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


def finite_losses(evaluation: Evaluation | None, num_objectives: int) -> list[float]:
    """One finite loss for each objective, as a library may see them; WORST without a value and if infeasible.

    Args:
        evaluation: None stands for a proposal that is no architecture.
        num_objectives: Number of objectives.
    """
    is_good = evaluation is not None and evaluation.feasible and all(value < WORST for value in evaluation.values)
    return list(evaluation.values) if evaluation is not None and is_good else [WORST] * num_objectives
