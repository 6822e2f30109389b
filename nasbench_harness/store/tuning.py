"""Records of tuned hyperparameters: which tasks they were tuned on, at which cost, and how they do on other tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.files import write_whole
from nasbench_harness.untrusted import read_toml

_MAX_BYTES = 2**22


@dataclass(frozen=True)
class HeldOutResult:
    """The tuned and the untuned strategy on a task that was not tuned on.

    Attributes:
        task: The task.
        seeds: Runs of each, with seeds 0 … seeds − 1.
        unit: Unit of the regrets.
        untuned: Mean regret before tuning.
        tuned: Mean regret after tuning.
        difference: Tuned − untuned; below 0 if tuning helped.
        low: Lower end of the difference's 95 % interval (Welch; of records of earlier versions: paired by seed).
        high: Upper end.
    """

    task: str
    seeds: int
    unit: str
    untuned: float
    tuned: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Split:
    """One tuning: its tasks, its cost and its outcome.

    Attributes:
        development: Tasks that were tuned on.
        held_out: Tasks that were not.
        trials: Settings that were tried.
        runs: Runs that the tuning needed.
        evaluations: Evaluations that were charged to these runs; of runs that failed those before the error.
        parameters: All hyperparameters of the chosen setting.
        results: The outcome on the tasks that were held out.
        source_evaluations: Evaluations of sources that these runs read; ``evaluations`` holds them if they are charged.
        source_seconds: Training time of these; None if none was read, or if a source has no training times.
        failed: A line for each setting that failed: the setting, the task and the error.
    """

    development: tuple[str, ...]
    held_out: tuple[str, ...]
    trials: int
    runs: int
    evaluations: int
    parameters: Mapping[str, Any]
    results: tuple[HeldOutResult, ...]
    source_evaluations: int = 0
    source_seconds: float | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TuningRecord:
    """The tuning of one strategy.

    Attributes:
        strategy: Registered name or ``module:attribute``.
        source_hash: Hash of its code.
        trials: Settings that each split was allowed.
        first_seeds: Runs of each setting on each task before the first half of them is dropped.
        budget: Evaluations that each split was allowed.
        evaluations: Evaluations that were run for all splits, shared ones once, those on held-out tasks left out.
        study_seed: Seed of draws and runs.
        protocol: Fields of the protocol.
        ranges: Values that were drawn, by hyperparameter.
        tables: Digest of the table of each task.
        splits: The tunings.
        command: The command that wrote the record.
        harness: Version of nasbench_harness.
        fixed: Hyperparameters with a range that the command gave, so that they were not tuned.
    """

    strategy: str
    source_hash: str
    trials: int
    first_seeds: int
    budget: int
    evaluations: int
    study_seed: int
    protocol: Mapping[str, Any]
    ranges: Mapping[str, str]
    tables: Mapping[str, str]
    splits: tuple[Split, ...] = field(default_factory=tuple)
    command: str = ""
    harness: str = ""
    fixed: tuple[str, ...] = ()

    def split_of(self, task: str) -> Split | None:
        """The split that holds a task out; None if no split does."""
        return next((split for split in self.splits if task in split.held_out), None)

    @property
    def rules(self) -> Protocol:
        """The protocol, checked.

        Raises:
            InvalidInputError: A field has a value outside its choices.
        """
        return Protocol.from_mapping(self.protocol, f"the tuning record of {self.strategy}")


def tuning_path(folder: Path, reference: str) -> Path:
    """File of a strategy's record.

    >>> tuning_path(Path("tuning"), "my_package.search:my_search").name
    'my_package.search-my_search.toml'
    """
    return folder / f"{re.sub(r'[^A-Za-z0-9._]+', '-', reference).strip('-')}.toml"


def write_tuning(folder: Path, record: TuningRecord) -> Path:
    """Write a record whole or not at all.

    Raises:
        InvalidInputError: The folder cannot be written.
    """
    import tomli_w

    path = tuning_path(folder, record.strategy)
    header = '# Hyperparameters by nasbench-harness strategies tune; a study file with tuning = "equal" asks for it.\n'
    try:
        write_whole(path, (header + tomli_w.dumps(_without_none(asdict(record)))).encode())
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}: name another --out") from error
    return path


def read_tuning(path: Path) -> TuningRecord:
    """Read and check a record.

    Raises:
        InvalidInputError: It is missing, or no record of a tuning.
    """
    from pydantic import TypeAdapter, ValidationError

    content = read_toml(path, "tuning record", _MAX_BYTES)
    try:
        record: TuningRecord = TypeAdapter(TuningRecord).validate_json(
            json.dumps(content, default=str), strict=True, extra="forbid"
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInputError(
            f"{path} is no tuning record ({place}: {first['msg'].lower()}): make it with strategies tune"
        ) from None
    if tuning_path(path.parent, record.strategy) != path:
        raise InvalidInputError(
            f"{path} holds the tuning record of {record.strategy}: give it the name of that strategy"
        )
    return record


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is None is left out."""
    if isinstance(value, Mapping):
        return {str(key): _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value
