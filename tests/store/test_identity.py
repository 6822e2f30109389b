"""The state of the current folder's repository, which may come from anyone."""

import os
import subprocess

import pytest

from nasbench_harness.store.identity import git_state

# Every key that makes git run a program, and the part of it that a repository may choose.
PROGRAMS = """
[core]
    fsmonitor = {program}
    hooksPath = hooks
    editor = {program}
    pager = {program}
    sshCommand = {program}
    gitProxy = {program}
    askPass = {program}
    alternateRefsCommand = {program}
    attributesFile = {attributes}
[filter "evil"]
    clean = {program}
    smudge = {program}
    required = true
[filter "evil=x.clean"]
    clean = {program}
    process = {program}
[filter "long"]
    process = {program}
    required = true
[diff]
    external = {program}
[diff "evil"]
    textconv = {program}
    command = {program}
[merge "evil"]
    driver = {program}
[pager]
    status = {program}
    rev-parse = {program}
[alias]
    status = !{program}
    rev-parse = !{program}
    config = !{program}
[credential]
    helper = !{program}
[gpg]
    program = {program}
[log]
    showSignature = true
[status]
    submoduleSummary = true
[remote "origin"]
    url = ext::{program}
    uploadpack = {program}
    promisor = true
    partialclonefilter = blob:none
[uploadpack]
    packObjectsHook = {program}
[trace2]
    eventTarget = {trace}
"""


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    for name in ("a.txt", "b.bin", "c.dat", "d.long"):
        (folder / name).write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    monkeypatch.chdir(folder)
    git_state.cache_clear()
    yield folder
    git_state.cache_clear()


def test_the_commit_and_whether_the_tree_differs(repository):
    commit = git(repository, "rev-parse", "HEAD").stdout.strip()
    assert git_state() == commit
    git_state.cache_clear()
    (repository / "a.txt").write_text("two\n")
    assert git_state() == f"{commit}+changes"


def test_there_may_be_no_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git_state.cache_clear()
    assert git_state() == ""
    git_state.cache_clear()


def test_a_hostile_repository_runs_nothing(repository, tmp_path):
    """Its configuration names a program wherever it can; each file is to be filtered, and must be compared."""
    mark, program = tmp_path / "mark", tmp_path / "program.sh"
    program.write_text(f"#!/bin/sh\necho $0 >> {mark}\ncat\n")
    program.chmod(0o755)
    hooks = repository / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        (hooks / name).symlink_to(program)
    attributes = "*.txt filter=evil diff=evil merge=evil\n*.bin filter=evil=x.clean\n*.long filter=long\n"
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text(attributes)
    (repository / ".gitattributes").write_text(attributes)
    config = PROGRAMS.format(program=program, attributes=repository / ".gitattributes", trace=tmp_path / "trace")
    with (repository / ".git" / "config").open("a") as file:
        file.write(config)
    for name in ("a.txt", "b.bin", "d.long"):
        os.utime(repository / name, (1, 1))  # the index cannot know that it is unchanged
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, timeout=20)
    assert mark.exists()  # the plain command runs it
    mark.unlink()
    (tmp_path / "trace").unlink(missing_ok=True)
    for name in ("a.txt", "b.bin", "d.long"):
        os.utime(repository / name, (2, 2))
    assert len(git_state().partition("+")[0]) == 40
    assert not mark.exists(), mark.read_text()
    assert not (tmp_path / "trace").exists()
