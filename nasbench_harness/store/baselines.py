"""Baselines: the runs of a strategy that its author accepted last, as JSON for reading as a diff."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.journal import with_checksum, without_checksum
from nasbench_harness.store.folder import StudyFolder, file_name

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class TaskBaseline:
    """Accepted runs of one strategy on one task.

    Attributes:
        table: Digest of the table.
        metric: Metric of the regret, e.g. ``val_accuracy``.
        unit: Unit of regret, e.g. ``pp``.
        step: Size of a grid step in that unit.
        trace: Hash of the proposals and choices of the runs with seeds 0 … 99.
        counts: How many runs ended at each grid value of regret.
    """

    table: str
    metric: str
    unit: str
    step: float
    trace: str
    counts: Mapping[int, int]

    @property
    def num_seeds(self) -> int:
        """Number of runs."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Baseline:
    """One strategy's file.

    Attributes:
        label: Names the file.
        reference: Registered name or ``module:attribute``.
        given: Hyperparameters that were given; the others follow the code's defaults.
        parameters: All hyperparameters at the time.
        protocol: Fields of the protocol that differ from their defaults, and the evaluations.
        study_seed: Seed of the study.
        tasks: Accepted results, by task.
        platform: Machine and versions that traces may depend on.
        harness: Version of nasbench_harness.
        command: The command that wrote the file.
    """

    label: str
    reference: str
    given: Mapping[str, Any]
    parameters: Mapping[str, Any]
    protocol: Mapping[str, Any]
    study_seed: int
    tasks: Mapping[str, TaskBaseline]
    platform: Mapping[str, str]
    harness: str
    command: str


def baseline_path(folder: Path, label: str) -> Path:
    """File of a strategy's baseline: no two labels have the same one.

    >>> baseline_path(Path("baselines"), "random-search").name
    'random-search.json'
    """
    return folder / f"{file_name(label)}.json"


def write_baseline(folder: Path, baseline: Baseline) -> Path:
    """Write a baseline whole or not at all; keys are sorted, grid values ascend.

    Raises:
        InvalidInputError: The folder cannot be written.
    """
    path = baseline_path(folder, baseline.label)
    content = json.loads(json.dumps(asdict(baseline), sort_keys=True))
    for task in content["tasks"].values():
        task["counts"] = dict(sorted(task["counts"].items(), key=lambda item: int(item[0])))
    try:
        content = dict(sorted(with_checksum(content).items()))
        StudyFolder(folder).write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except InvalidInputError as error:
        reason = f"{error.__cause__.strerror}: " if isinstance(error.__cause__, OSError) else ""
        raise InvalidInputError(f"cannot write the baseline {path}: {reason}choose another folder") from error
    return path


@cache
def _adapter() -> TypeAdapter[Baseline]:
    from pydantic import TypeAdapter

    return TypeAdapter(Baseline)


def read_baseline(path: Path) -> Baseline:
    """Read and check a baseline.

    Raises:
        InvalidInputError: The file cannot be read, is no JSON, differs from its checksum, or does not have the form
            of a baseline.
    """
    from pydantic import ValidationError

    try:
        text = path.read_text(encoding="utf-8")
        content = json.dumps(without_checksum(json.loads(text)))
        baseline: Baseline = _adapter().validate_json(content, extra="forbid")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInputError(f"cannot read the baseline {path}: {reason}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{f'{where}: ' if where else ''}{first['msg'].lower()}") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    for task, runs in baseline.tasks.items():
        if not runs.counts or min(runs.counts) < 0 or min(runs.counts.values()) < 1 or not runs.step > 0:
            raise _damaged(path, f"tasks.{task}: grid values must be at least 0, counts at least 1, step above 0")
    if (expected := baseline_path(path.parent, baseline.label)) != path:
        raise InvalidInputError(
            f"{path} holds the baseline of {baseline.label!r}: rename it to {expected.name}, or save that one again"
        )
    return baseline


def _damaged(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(f"{path} is damaged ({why}): restore it, or save it again")
