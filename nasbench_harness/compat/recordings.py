"""Files of recorded runs: one CSV for each label, which ``add-trace`` reads; each row carries the rules of its run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import write_whole
from nasbench_harness.store.locks import updating

_COLUMNS = ("task", "seed", "step", "index", "fidelity", "recommended", "recorded_under")


class Run(NamedTuple):
    """The run that a file receives.

    Attributes:
        task: Name of the task.
        seed: Seed of the run.
        rules: Text of the rules that it was recorded under.
    """

    task: str
    seed: int
    rules: str


def other_rows(path: Path, run: Run) -> list[dict[str, str]]:
    """Rows of the other runs in the file; none if there is no file.

    Raises:
        InvalidInputError: It is another kind of file, or holds runs on this task under other rules.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) == _COLUMNS[:-1]:
            raise InvalidInputError(
                f"{path} was recorded by an earlier version and does not say its rules: move it, or record under "
                "another label"
            )
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InvalidInputError(f"{path} is no file of recordings: move it, or record under another label")
        rows = [row for row in reader if (row["task"], row["seed"]) != (run.task, str(run.seed))]
    for row in rows:
        if row["task"] == run.task and row["recorded_under"] != run.rules:
            raise InvalidInputError(
                f"{path} holds runs on {run.task} under {row['recorded_under']}, and this run has {run.rules}: "
                "record it under another label, or move the file"
            )
    return rows


def add_rows(path: Path, run: Run, proposals: Sequence[tuple[int, int | None]], reports: Sequence[int]) -> None:
    """Put the proposals of a run into the file of its label, in place of those of the same task and seed.

    Args:
        path: The file.
        run: The run.
        proposals: (architecture, fidelity in epochs or None) of each evaluation.
        reports: Architecture that the run would return after each evaluation, −1 for its incumbent.

    Raises:
        InvalidInputError: The file cannot take this run (see ``other_rows``).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with updating(path.parent):
        rows = other_rows(path, run)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([row[name] for name in _COLUMNS] for row in rows)
        for step, ((index, epochs), own) in enumerate(zip(proposals, reports, strict=True)):
            chosen = "" if own < 0 else own
            writer.writerow([run.task, run.seed, step, index, "" if epochs is None else epochs, chosen, run.rules])
        write_whole(path, text.getvalue().encode())
