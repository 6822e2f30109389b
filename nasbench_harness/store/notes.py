"""Notes that strategies keep of their runs, beside the stored traces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.identity import run_id
from nasbench_harness.untrusted import below


def notes_path(study: StudyFolder, task: str, identity: Mapping[str, Any], seed: int) -> Path:
    """File of the notes of one run."""
    return below(study.path / "notes", f"{task}--{run_id(identity)}", f"{seed}.json")


def read_notes(path: Path) -> dict[str, Any]:
    """The notes; empty if there are none, or if they are damaged."""
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}
