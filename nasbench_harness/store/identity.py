"""What makes a run the run it is."""

from __future__ import annotations

import json
import platform
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
    reference: str, parameters: Mapping[str, Any], task: str, table_digest: str, protocol: Protocol, study_seed: int
) -> dict[str, Any]:
    """The canonical identity of a strategy's runs on a task; seeds come on top."""
    return {
        "strategy": reference,
        # None is the same as absent, so that a study file, which has no null, names the same runs.
        "parameters": {name: value for name, value in sorted(parameters.items()) if value is not None},
        "task": task,
        "table": table_digest,
        "protocol": protocol.identity(),
        "study_seed": study_seed,
        "trace_version": TRACE_VERSION,
    }


def run_id(identity: Mapping[str, Any]) -> str:
    """Hash of an identity, 16 hex digits."""
    return _hash(identity)[:16]


def study_id(protocol: Protocol, study_seed: int) -> str:
    """Eight hex digits that protocol and study seed decide."""
    return _hash({"protocol": protocol.identity(), "study_seed": study_seed})[:8]


@cache
def versions() -> dict[str, str]:
    """Versions of what produces traces, read in this process."""
    names = ("nasbench-harness", "numpy", "pyarrow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


@cache
def git_state() -> str:
    """Commit of the current folder's repository, with "+changes" where the tree differs; empty outside of one."""

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
        return result.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _hash(value: Mapping[str, Any]) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
