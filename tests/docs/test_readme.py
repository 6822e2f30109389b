"""README, CONTRIBUTING and docs/: every code block runs, and what they quote stands in results/."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
# Libraries of extras, and what a block that needs them holds.
OPTIONAL = {"optuna": "import optuna\n", "torch": "from nasbench_harness.trainer"}
# Their commands read files of the reader; they have tests of their own.
OWN_FILES = ("docs/archives.md", "docs/keep-your-script.md", "docs/tables.md", "docs/regression-tests.md")
MOST_LINES, MOST_WORDS = 140, 1_000  # of the README: details belong in docs/
SET_UP = ("pip install -e . && nasbench-harness compare", "pip install tox && tox")


def blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python_files(document):
    found = (re.match(r"# (\w+\.py)\n", block) for block in blocks(document, "python"))
    return {match[1]: match.string for match in found if match}


def files_of(document):
    """Files that a reader saves from a document's blocks."""
    found = (re.match(r"# (\w+\.toml)\n", block) for block in blocks(document, "toml"))
    return python_files(document) | {match[1]: match.string for match in found if match}


def run_shell(example):
    for line in example.parsed.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "nasbench-harness", line
        subprocess.run([sys.executable, "-m", "nasbench_harness", *arguments], check=True, capture_output=True)


def run_blocks(document, parsers):
    """Run a document's blocks in their order; skips in the end if a block needs a library that is not installed."""
    lacking = set()
    for example in Sybil(parsers, path=str(ROOT)).parse(ROOT / document).examples():
        needed = {name for name, sign in OPTIONAL.items() if sign in str(example.parsed) and find_spec(name) is None}
        lacking |= needed
        if not needed:
            example.evaluate()
    if lacking:
        pytest.skip(f"a block of {document} needs {', '.join(sorted(lacking))}; the other blocks ran")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_python_blocks_run(document, tmp_path, monkeypatch):
    files = python_files(document)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run_blocks(document, [PythonCodeBlockParser()])
    for name in files:  # other tests write modules of this name
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCS)
def test_python_and_shell_blocks_of_docs_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))  # pages import tables
    for name, text in files_of(document).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shell = [] if document in OWN_FILES else [CodeBlockParser("sh", run_shell)]
    run_blocks(document, [PythonCodeBlockParser(), *shell])


@pytest.mark.slow
def test_shell_blocks_run(tmp_path):
    for name, text in python_files("README.md").items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "nasbench_harness"]
    for block in blocks("README.md", "sh"):
        for line in block.splitlines():
            if line in SET_UP:
                continue
            assert line.startswith("nasbench-harness "), line
            subprocess.run([*command, *line.split()[1:]], cwd=tmp_path, check=True, capture_output=True)


def test_set_up_commands_are_in_the_readme_and_ci_runs_the_second():
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    assert [line for line in lines if line.startswith("pip")] == list(SET_UP)
    assert SET_UP[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_study_file_of_the_docs_is_accepted(tmp_path):
    (block,) = blocks("docs/study-file.md", "toml")
    tomllib.loads(block)
    (tmp_path / "study.toml").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "nasbench_harness", "run", "--config", "study.toml", "--seeds", "2"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=dict(os.environ))


def test_a_newcomers_strategy_takes_at_most_15_lines():
    (text,) = python_files("README.md").values()
    assert len([line for line in text.splitlines() if line.strip()]) <= 15


def test_the_rows_of_the_readme_stand_in_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    source, quoted = re.search(r"<!-- table: (\S+) -->\n(.*?)<!-- end of table -->", readme, re.DOTALL).groups()
    report = (ROOT / source).read_text(encoding="utf-8")
    table = re.search(r"## Overview\n.*?(^\|.*?)\n\n", report, re.DOTALL | re.MULTILINE)[1]
    head, rows = quoted.strip().splitlines()[:2], quoted.strip().splitlines()[2:]
    assert head == table.strip().splitlines()[:2]
    assert rows
    assert [row for row in table.splitlines() if row in rows] == rows


def test_the_random_search_equivalent_of_the_readme_stands_in_results():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    task, label, number = re.search(
        r"On (\S+), 200 evaluations of (\S+) have the expected regret of (.*?\]) random", readme
    ).groups()
    report = (ROOT / "results" / "default" / "report.md").read_text(encoding="utf-8")
    table = report.partition("## Random-search equivalents\n")[2].splitlines()
    (head,) = [line.split(" | ") for line in table[:6] if line.startswith("| Task")]
    row = next(line.split(" | ") for line in table if line.startswith(f"| {task} "))
    assert row[head.index(label)] == number


def test_the_readme_stays_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.split()) <= MOST_WORDS


def test_links_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md", "strategies/README.md", "results/README.md", *DOCS):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
