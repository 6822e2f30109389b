"""Options that say nothing together are refused in one line, before anything is read or run."""

import click
import pytest
from click.testing import CliRunner

from nasbench_harness.cli.base import main
from nasbench_harness.cli.combinations import CHANGED, EXCLUDED, NEEDED

PAIRS = [
    *((*tuple(place.rsplit(" ", 1)), other, True) for place, other in NEEDED.items()),
    *((*tuple(place.rsplit(" ", 1)), other, False) for place, others in EXCLUDED.items() for other in others),
]


def command_of(words):
    command = main
    for word in words.split():
        command = command.commands[word]
    return command


def written(command, word):
    """An option or argument as a user writes it, with a value that its type accepts."""
    (parameter,) = [one for one in command.params if word in (*one.opts, one.name.upper())]
    if getattr(parameter, "is_flag", False):
        return [word]
    return ["2"] if isinstance(parameter, click.Argument) else [word, "2"]


def refused(*arguments, program="nasbench-harness"):
    done = CliRunner().invoke(main, arguments, prog_name=program)
    assert done.exit_code == 2, done.output
    (line,) = done.output.splitlines()
    return line


@pytest.mark.parametrize(("words", "option", "other", "is_needed"), PAIRS)
def test_every_rule_is_kept(words, option, other, is_needed):
    command = command_of(words)
    other_words = written(command, other)
    given = [] if is_needed else other_words
    must = [one for one in command.params if one.required and not {option, other} & set(one.opts)]
    for one in must:
        given = [*(["x"] if isinstance(one, click.Argument) else [one.opts[0], "x"]), *given]
    line = refused(*words.split(), *given, *written(command, option))
    assert line.startswith(f"error: {option} {'belongs to' if is_needed else 'cannot be combined with'} {other}: ")


def test_rules_are_kept_under_a_name_of_the_program_that_has_spaces():
    program = "python -m nasbench_harness"
    line = refused("status", "nowhere", "--interval", "2", program=program)
    assert line == "error: --interval belongs to --watch: give both"
    line = refused("strategies", "list", "--markdown", "--json", program=program)
    assert line == "error: --markdown cannot be combined with --json: leave one of them out"
    line = refused("report", "x", "--format", "csv", "--width", "neurips", program=program)
    assert line.startswith("error: --width changes none of these formats: ")


@pytest.mark.parametrize("option", CHANGED)
def test_an_option_that_changes_no_format_is_refused(option):
    line = refused("report", "x", option, "neurips" if option == "--width" else "heatmap", "--format", "csv")
    assert line == f"error: {option} changes none of these formats: add --format {CHANGED[option][0]}"


@pytest.mark.parametrize(("option", "changed"), CHANGED.items())
def test_an_option_is_accepted_with_each_format_that_it_changes(option, changed):
    value = "neurips" if option == "--width" else "heatmap"
    for name in changed:
        assert refused("report", "nowhere", option, value, "--format", name).startswith("error: nowhere")


@pytest.mark.parametrize("option", ["--strategies", "--tasks", "--families", "--objectives"])
def test_a_list_that_is_given_twice_is_refused(option):
    line = refused("compare", option, "a", option, "b")
    assert line == f"error: {option} is given twice: write one list with commas"


def test_other_options_may_be_repeated():
    line = refused("compare", "--seeds", "2", "--seeds", "3", "--json", "--json", "--tasks", "nowhere", "--rerun", "a")
    assert line.startswith("error: unknown task 'nowhere'")
