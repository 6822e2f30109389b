"""Values of options: choices with a suggestion for a misspelled one, and names that a shell can complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from nasbench_harness.errors import HarnessError, UnknownNameError

FOLDER = click.Path(path_type=Path)


class Choice(click.Choice[str]):
    """One of several words; a misspelled one gets a suggestion."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word.

        Raises:
            UnknownNameError: It is none of the choices.
        """
        if value not in self.choices:
            raise UnknownNameError("" if param is None else str(param.name), str(value), self.choices)
        return super().convert(value, param, ctx)


class Name(click.types.StringParamType):
    """A name that is checked later, or several with commas between them; the shell completes it.

    Args:
        name: Word for the value in messages of click.
        known: Returns the names that are known, from the context of the command line.
        many: Whether commas separate names.
    """

    def __init__(self, name: str, known: Callable[[click.Context], Iterable[str]], many: bool = False) -> None:
        self.name, self._known, self._many = name, known, many

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click passes it
        incomplete: str,
    ) -> list[CompletionItem]:
        """Known names that begin with the last name of the value."""
        before, comma, begun = incomplete.rpartition(",") if self._many else ("", "", incomplete)
        names: Iterable[str] = ()
        with suppress(HarnessError, OSError):
            names = self._known(ctx)
        return [CompletionItem(before + comma + name) for name in names if name.startswith(begun)]


def _tasks(_: click.Context) -> Iterable[str]:
    from nasbench_harness.evaluation.task_names import all_task_names

    return all_task_names()


def _strategies(_: click.Context) -> Iterable[str]:
    from nasbench_harness.studies.catalog import strategy_entry_points

    return strategy_entry_points()


def _tables(_: click.Context) -> Iterable[str]:
    from nasbench_harness.tables.registry import table_names

    return table_names()


def _labels(ctx: click.Context) -> Iterable[str]:
    """Labels of the study that the command line names: its folder, or its study file."""
    from nasbench_harness.store.study_file import read_record

    # An option without its value ends the parsing: the arguments before it are left as they are.
    folder = ctx.params.get("folder") or ctx.params.get("out") or next(iter(ctx.args), None)
    file = Path(folder) / "study.toml" if folder else ctx.params.get("config")
    return [] if file is None else read_record(Path(file)).labels


TASK, TASKS = Name("task", _tasks), Name("tasks", _tasks, many=True)
STRATEGY, STRATEGIES = Name("strategy", _strategies), Name("strategies", _strategies, many=True)
# Other values exist, too: a replicate, and a numbered device.
NOISE = Name("noise", lambda _: ("mean", "per_query", "per_run", "replicate=0"))
DEVICE = Name("device", lambda _: ("auto", "cpu", "cuda", "mps"))
LABEL, LABELS = Name("label", _labels), Name("labels", _labels, many=True)
TABLE = Name("table", _tables)
