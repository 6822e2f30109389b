"""README and CONTRIBUTING: every code block runs, and what they quote stands in results/."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
SET_UP = ("pip install -e . && nasbench-harness compare", "pip install tox && tox")


def blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python_files(document):
    found = (re.match(r"# (\w+\.py)\n", block) for block in blocks(document, "python"))
    return {match[1]: match.string for match in found if match}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_python_blocks_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for example in Sybil([PythonCodeBlockParser()], path=str(ROOT)).parse(ROOT / document).examples():
        example.evaluate()


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


def test_the_study_file_of_the_readme_is_accepted(tmp_path):
    (block,) = blocks("README.md", "toml")
    tomllib.loads(block)
    (tmp_path / "study.toml").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "nasbench_harness", "run", "--config", "study.toml", "--seeds", "2"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=dict(os.environ))


def test_a_newcomers_strategy_takes_at_most_15_lines():
    (text,) = python_files("README.md").values()
    assert len([line for line in text.splitlines() if line.strip()]) <= 15


def test_the_table_of_the_readme_is_the_one_in_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    source, quoted = re.search(r"<!-- table: (\S+) -->\n(.*?)<!-- end of table -->", readme, re.DOTALL).groups()
    report = (ROOT / source).read_text(encoding="utf-8")
    table = re.search(r"## All tasks\n.*?(^\|.*?)\n\n", report, re.DOTALL | re.MULTILINE)[1]
    assert quoted.strip() == table.strip()


def test_links_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md", "strategies/README.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document}: {target}"
