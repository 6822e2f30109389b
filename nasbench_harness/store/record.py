"""The study file: what a study compares, as TOML that people write and the harness keeps."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol

_HEADER = """\
# The last command's record. To repeat it: nasbench-harness compare --config study.toml
"""


@dataclass(frozen=True)
class StrategyRecord:
    """A strategy by name: enough to find its runs, without its code."""

    label: str
    reference: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyRecord:
    """What was compared: strategies × tasks × seeds under one protocol."""

    strategies: tuple[StrategyRecord, ...]
    tasks: tuple[str, ...]
    num_seeds: int
    protocol: Protocol
    study_seed: int

    def to_toml(self) -> str:
        """The study file's text."""
        lines = [_HEADER + f"seeds = {self.num_seeds}", f"study_seed = {self.study_seed}"]
        lines += [f"tasks = {to_toml(list(self.tasks))}", "", "[protocol]"]
        lines += [f"{name} = {to_toml(value)}" for name, value in asdict(self.protocol).items()]
        for strategy in self.strategies:
            lines += [
                "",
                "[[strategies]]",
                f"use = {to_toml(strategy.reference)}",
                f"label = {to_toml(strategy.label)}",
            ]
            # TOML has no null: a parameter that is None is left out, in the identity too.
            lines += [f"parameters = {to_toml({k: v for k, v in strategy.parameters.items() if v is not None})}"]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class StudyFile:
    """A study file as written; None where a key is left out."""

    seeds: int | None = None
    study_seed: int | None = None
    tasks: tuple[str, ...] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    strategies: tuple[Mapping[str, Any], ...] | None = None


def read_study_file(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises:
        InvalidInputError: It is missing, no TOML, or a key has the wrong type; the message names the key.
        UnknownNameError: A key does not exist.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInputError(f"cannot read the study file {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path} is no TOML: {error}") from error
    return _validated(content, path)


def _validated(content: dict[str, Any], path: Path) -> StudyFile:
    from pydantic import BaseModel, ConfigDict, ValidationError

    class StrategyTable(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        use: str
        label: str | None = None
        parameters: dict[str, Any] = {}

    class Study(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        seeds: int | None = None
        study_seed: int | None = None
        tasks: list[str] | None = None
        protocol: dict[str, Any] = {}
        strategies: list[StrategyTable] | None = None

    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = StrategyTable.model_fields if first["loc"][0] == "strategies" else Study.model_fields
            raise UnknownNameError("key", where.rpartition(".")[2], known, str(path)) from None
        raise InvalidInputError(f"{path}: {where}: {first['msg'].lower()}, not {first['input']!r}") from None
    strategies = None if study.strategies is None else tuple(table.model_dump() for table in study.strategies)
    tasks = None if study.tasks is None else tuple(study.tasks)
    return StudyFile(study.seeds, study.study_seed, tasks, study.protocol, strategies)


def to_toml(value: Any) -> str:
    """A JSON value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return json.dumps(value, ensure_ascii=False)
