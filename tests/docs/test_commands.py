"""Every command and option of the program stands on a written page."""

import re
from dataclasses import fields
from pathlib import Path

import click

from nasbench_harness.cli import main
from nasbench_harness.evaluation.protocol import Protocol

ROOT = Path(__file__).parents[2]
# Options that need no page: every command has the first, and the second writes a file of this repository.
ELSEWHERE = {"--json", "--markdown"}
RULES = {f"--{field.name.replace('_', '-')}" for field in fields(Protocol)}  # docs/protocol.md names the fields


def commands(group=main, path=""):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_option_stands_on_a_page():
    text = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    on_pages = set(re.findall(r"(?<![\w-])--[a-z-]+", text)) | ELSEWHERE | RULES
    for path, command in commands():
        options = {one.opts[0] for one in command.params if isinstance(one, click.Option)}
        assert options <= on_pages, path


def test_every_command_stands_in_the_table_of_commands():
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = {word for row in rows for word in re.findall(r"[a-z-]+", row)}
    assert {word for path, _ in commands() for word in path.split()} - {"list", "info"} <= words


def test_the_page_names_the_commands_without_json():
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z -]+)`", re.search(r"takes `--json`, except (.*?)\.\n", page)[1])
    without = [path for path, command in commands() if not any("--json" in one.opts for one in command.params)]
    assert sorted(named) == sorted(without)


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    generated = {"index", "command-line"}  # of the site
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - generated
    assert pages <= set(re.findall(r"\]\(docs/([\w-]+)\.md\)", readme))
