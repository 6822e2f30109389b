"""Options that say nothing together: one table, which every command reads before it begins."""

from __future__ import annotations

from collections import Counter

import click
from click.core import ParameterSource

from nasbench_harness.errors import InvalidInputError

# An option of a command, and the option without which it says nothing.
NEEDED = {
    "compare --top": "--verify",
    "stats --margin": "--compare",
    "status --interval": "--watch",
    "tables adapt-device --out": "--choose",
    "tables adapt-device --seed": "--choose",
    "tables measure --seed": "--count",
}
# An option or argument of a command, and others that say nothing beside it.
EXCLUDED = {
    "status --watch": ("--provenance",),
    "strategies list --markdown": ("--json",),
    "tables adapt-device --choose": ("FILE", "--name", "--replace", "--seconds"),
    "verify --dry-run": ("--timings",),
}
# An option of report, and the formats that it changes.
CHANGED = {"--width": ("latex", "html", "all"), "--figure": ("html", "pdf", "png", "all")}


class Command(click.Command):
    """A command that refuses combinations of options which say nothing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; a repeated list, which would hide the first one, is refused.

        Raises:
            InvalidInputError: Two options say nothing together, or a list is given twice.
        """
        words = list(args)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _refuse_repeated_lists(self.make_parser(ctx).parse_args(words)[2])
            refuse_senseless(ctx)
        return rest


def refuse_senseless(ctx: click.Context) -> None:
    """Refuse options that say nothing together.

    Raises:
        InvalidInputError: One of the tables of this module has them.
    """
    command = _command_of(ctx)
    for place, other in NEEDED.items():
        if (option := _option_of(command, place)) and _is_given(ctx, option) and not _is_given(ctx, other):
            raise InvalidInputError(f"{option} belongs to {other}: give both")
    for place, others in EXCLUDED.items():
        if (option := _option_of(command, place)) and _is_given(ctx, option):
            for other in others:
                if _is_given(ctx, other):
                    raise InvalidInputError(f"{option} cannot be combined with {other}: leave one of them out")
    formats = ctx.params.get("formats") if command == "report" else None
    for option, changed in CHANGED.items():
        if formats and _is_given(ctx, option) and not set(formats) & set(changed):
            raise InvalidInputError(f"{option} changes none of these formats: add --format {changed[0]}")


def _command_of(ctx: click.Context) -> str:
    """Words of a command after the program's name, which may have spaces, as in ``python -m nasbench_harness``."""
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(words)


def _option_of(command: str, place: str) -> str:
    """Option of an entry of the tables; empty if it is of another command."""
    owner, _, option = place.rpartition(" ")
    return option if owner == command else ""


def _is_given(ctx: click.Context, word: str) -> bool:
    (parameter,) = [one for one in ctx.command.params if word in (*one.opts, (one.name or "").upper())]
    return ctx.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE


def _refuse_repeated_lists(order: list[click.Parameter]) -> None:
    for parameter, times in Counter(order).items():
        if times > 1 and not parameter.multiple and "," in (parameter.metavar or ""):
            raise InvalidInputError(f"{parameter.opts[0]} is given twice: write one list with commas")
