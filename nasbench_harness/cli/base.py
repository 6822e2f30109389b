"""The command itself: one line for every mistake of a user, whatever the verb."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Never

import click

from nasbench_harness.errors import HarnessError
from nasbench_harness.workers import stop_workers


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which batch systems send before they kill: everything ends as after Ctrl-C."""


@contextmanager
def _terminable() -> Iterator[None]:
    def end(*_: object) -> Never:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only the main thread may
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Group(click.Group):
    """Turns the harness's own errors, and wrong arguments, into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a mistake ends with exit code 2, Ctrl-C with 130, SIGTERM with 143."""
        try:
            with _terminable():
                return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except click.UsageError as error:
            if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # not in every click
                raise
            message = error.format_message().rstrip(".")
            click.echo(
                f"error: {message[:1].lower()}{message[1:]} (see {(error.ctx or ctx).command_path} --help)", err=True
            )
            ctx.exit(2)
        except KeyboardInterrupt as error:
            stop_workers()
            click.echo("\nstopped; the same command goes on where it stopped", err=True)
            ctx.exit(143 if isinstance(error, _Terminated) else 130)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nasbench-harness")
def main() -> None:
    """Compare neural architecture search strategies fairly, on real tables, over hundreds of seeds.

    \b
    nasbench-harness compare              all strategies on all tasks, 200 seeds
    nasbench-harness compare --strategies random-search,mine=my_file:my_search
    nasbench-harness tables list          what can be searched
    nasbench-harness doctor               what is installed and usable here
    """  # noqa: D301 - click reads the backspace as "do not wrap"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
