"""The command itself: one line for every mistake of a user, whatever the verb."""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, Never

import click

from nasbench_harness.cli.combinations import Command
from nasbench_harness.errors import HarnessError, RunsFailedError
from nasbench_harness.workers import stop_workers

# Writing to a file that is named says its name: these without one come from standard output.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


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

    command_class = Command

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command; output that cannot be written ends it with one line and exit code 1."""
        _accept_every_character()
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
                raise
            say(f"error: cannot write the output: {error.strerror}; everything that was run is stored")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the end of the process would fail once more
            sys.exit(1)

    def make_context(self, info_name: str | None, args: list[str], *given: Any, **extra: Any) -> click.Context:
        """Read the options before the verb; a mistake ends the command with exit code 2."""
        try:
            return super().make_context(info_name, args, *given, **extra)
        except click.UsageError as error:
            _say_usage(error, info_name or "nasbench-harness")
            sys.exit(2)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; runs that fail end it with exit code 1, a mistake with 2, Ctrl-C with 130, SIGTERM with 143."""
        try:
            with _terminable():
                return super().invoke(ctx)
        except HarnessError as error:
            say(f"error: {error}")
            ctx.exit(1 if isinstance(error, RunsFailedError) else 2)
        except click.UsageError as error:
            _say_usage(error, ctx.command_path)
            ctx.exit(2)
        except OSError as error:
            if error.filename is None:
                raise
            say(f"error: cannot use {error.filename}: {error.strerror}")
            ctx.exit(2)
        except KeyboardInterrupt as error:
            stop_workers()
            say("\nstopped; the same command goes on from the stored results, if there are any")
            ctx.exit(143 if isinstance(error, _Terminated) else 130)


def _say_usage(error: click.UsageError, command: str) -> None:
    """Print wrong arguments as one line; a group without a verb prints its help instead."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # not in every click
        raise error
    message = error.format_message().rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else command
    say(f"error: {message[:1].lower()}{message[1:]} (see {path} --help)")


def say(text: str) -> None:
    """Print a line on standard error; when that cannot be written, the command goes on all the same."""
    with suppress(OSError):
        click.echo(text, err=True)


def end_study(study: Any) -> None:
    """Exit with 1, as after failed runs, if strategies are not scored; says which."""
    from nasbench_harness.api import unscored_lines

    lines = unscored_lines(study.analysis.unscored, study.record.protocol)
    for line in lines:
        say(f"failed: {line}")
    if lines:
        raise click.exceptions.Exit(1)


@contextmanager
def only_json(is_active: bool) -> Iterator[None]:
    """Send prints of strategies, in this process or in its workers, to standard error: standard output is JSON."""
    if not is_active or sys.stdout is None:
        yield
        return
    sys.stdout.flush()
    with redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # there is no standard output or error
            yield
            return
        try:
            yield
        finally:
            with suppress(OSError):
                sys.stderr.flush()
            os.dup2(kept, 1)
            os.close(kept)


def _accept_every_character() -> None:
    """If the terminal's encoding does not have a character, print a question mark instead of failing."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    # In the locale "C" Python passes bytes through that it could not read, but fails at every other character.
    is_c_locale = sys.stdout.errors == "surrogateescape" and codecs.lookup(sys.stdout.encoding).name != "utf-8"
    if sys.stdout.errors == "strict" or is_c_locale:
        sys.stdout.reconfigure(errors="replace")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nasbench-harness")
def main() -> None:
    """Compare neural architecture search strategies fairly, on real tables, over hundreds of seeds.

    \b
    nasbench-harness compare              five strategies on all tasks, 200 seeds
    nasbench-harness compare --strategies random-search,mine=my_file:my_search
    nasbench-harness tables list          tables and their tasks
    nasbench-harness doctor               check the installation
    """  # noqa: D301 - click reads the backspace as "do not wrap"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
