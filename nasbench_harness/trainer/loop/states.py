"""States of unfinished trainings on disk: a killed training continues from its last epoch, with the same bits.

Order and augmentation are drawn from training seed and epoch, so parameters, running statistics and momenta after an
epoch are all that the next one depends on.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import write_whole

SAVE_EVERY_S = 30.0  # shorter trainings are never saved
_DIGEST_SIZE = hashlib.sha256().digest_size


class SavedState:
    """The file that holds the state of one training, a stack of seeds.

    A file that was damaged, or not written completely, is ignored: the training begins anew.

    Args:
        folder: Folder of the states; it is made with the first one.
        keys: Cache keys of the trainings of the stack, which name the file.
    """

    def __init__(self, folder: Path, keys: Sequence[str]) -> None:
        self._path = folder / f"{hashlib.sha256(' '.join(keys).encode()).hexdigest()[:32]}.state"
        self._saved_at = monotonic()

    def read(self, device: torch.device) -> dict[str, Any] | None:
        """The state with its tensors on a device, or None if there is none that can be used."""
        try:
            content = self._path.read_bytes()
            if hashlib.sha256(content[_DIGEST_SIZE:]).digest() != content[:_DIGEST_SIZE]:
                return None
            state: dict[str, Any] = torch.load(
                io.BytesIO(content[_DIGEST_SIZE:]), map_location=device, weights_only=True
            )
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
            return None
        return state

    @property
    def is_due(self) -> bool:
        """Whether the last state is old enough to be replaced."""
        return monotonic() - self._saved_at >= SAVE_EVERY_S

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state; the file is complete at any moment.

        Raises:
            InvalidInputError: It cannot be written.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        try:
            write_whole(self._path, hashlib.sha256(content).digest() + content)
        except OSError as error:
            raise InvalidInputError(f"cannot write {self._path}: {error.strerror}") from error
        self._saved_at = monotonic()

    def remove(self) -> None:
        """Delete the state of a training that is finished."""
        self._path.unlink(missing_ok=True)
