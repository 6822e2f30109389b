"""Run identity: the fields that determine a run's result, and their hash."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from nasbench_harness.evaluation.protocol import Protocol

# Raised when the engine's traces change for the same identity; the harness's own version does not enter.
TRACE_VERSION = 1


def identity_of(
    reference: str,
    parameters: Mapping[str, Any],
    task: str,
    table_digest: str,
    protocol: Protocol,
    study_seed: int,
    data: str = "",
    sources: Mapping[str, str] | None = None,
    answers_version: int = 1,
    scores: str = "",
) -> dict[str, Any]:
    """The canonical identity of a strategy's runs on a task; seeds come on top."""
    return {
        "strategy": reference,
        # None is the same as absent, so that a study file, which has no null, names the same runs.
        "parameters": {name: value for name, value in sorted(parameters.items()) if value is not None},
        "task": task,
        "table": table_digest,
        "protocol": protocol.of_task(task).identity(),
        "study_seed": study_seed,
        "trace_version": TRACE_VERSION,
        **({"data": data} if data else {}),
        # Digest of the table of each source, by name; the protocol names the sources.
        **({"sources": dict(sorted(sources.items()))} if sources else {}),
        **({"answers": answers_version} if answers_version != 1 else {}),
        **({"scores": scores} if scores else {}),
    }


def run_id(identity: Mapping[str, Any]) -> str:
    """Hash of an identity, 16 hex digits."""
    return _hash(identity)[:16]


def study_id(protocol: Protocol, study_seed: int) -> str:
    """Eight hex digits that protocol and study seed decide."""
    return _hash({"protocol": protocol.identity(), "study_seed": study_seed})[:8]


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that produce traces, read in this process."""
    names = ("nasbench-harness", "numpy", "pyarrow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


@cache
def git_state() -> str:
    """Commit of the current folder's repository, with "+changes" if the tree differs; empty outside of one.

    The folder may come from anyone: no program that its configuration names is run.
    """
    try:
        commit = _git("rev-parse", "--verify", "HEAD").strip()
        # Programs that filter files have names of their own: each one that is configured is set to nothing.
        listed = _git("config", "--null", "--name-only", "--list").split("\0")
        filters = {key: "" for key in listed if re.fullmatch(r"filter\..*\.(clean|smudge|process)", key, re.DOTALL)}
        required = {key: "false" for key in listed if re.fullmatch(r"filter\..*\.required", key, re.DOTALL)}
        status = ("status", "--porcelain", "-uno", "--ignore-submodules=all")
        return commit + ("+changes" if _git(*status, settings=filters | required).strip() else "")
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""


def _git(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """Output of a git command that starts no other program."""
    safe = {"core.fsmonitor": "false", "core.hooksPath": os.devnull, "core.untrackedCache": "keep", **(settings or {})}
    environment = {
        **{name: value for name, value in os.environ.items() if not re.match("GIT_CONFIG_(COUNT|KEY_|VALUE_)", name)},
        "GIT_OPTIONAL_LOCKS": "0",  # the index is not rewritten
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # nothing is fetched, whatever the address of a remote says
        "GIT_PAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(safe)),
    }
    for number, (key, value) in enumerate(safe.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    command = ["git", "--no-pager", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=10, check=True, env=environment)
    return done.stdout.decode()


def _hash(value: Mapping[str, Any]) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
