"""Files that a strategy may keep beside the trace of a run: its state while it runs, and notes for reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import write_whole


@dataclass(frozen=True)
class RunFiles:
    """Places of one run.

    Attributes:
        states: Folder of the state of an unfinished run; it is removed when the run is stored. None: nothing is kept.
        notes: File of the run's notes; None: notes are dropped.
    """

    states: Path | None = None
    notes: Path | None = None

    def note(self, notes: Mapping[str, Any]) -> None:
        """Keep notes for reports, in place of those before; JSON values only.

        Raises:
            InvalidInputError: The file cannot be written.
        """
        if self.notes is None:
            return
        try:
            write_whole(self.notes, (json.dumps(notes, allow_nan=False) + "\n").encode())
        except OSError as error:
            raise InvalidInputError(f"cannot write {self.notes}: {error.strerror}") from error
