"""Reading pickles from elsewhere without running code in them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

from nasbench_harness.errors import TableError
from nasbench_harness.untrusted import refuse_special_file

_DTYPE = re.compile(r"[<>|=]?[a-zA-Z]\d{0,3}")


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that resolves only the globals named in ``allowed``."""

    allowed: frozenset[tuple[str, str]] = frozenset()

    def find_class(self, module: str, name: str) -> Any:
        """Resolve an allowed global; anything else is refused before it is imported."""
        if (module, name) not in self.allowed:
            raise TableError(f"the pickle refers to {module}.{name}, which this kind of file may not contain")
        return _plain_dtype if (module, name) == ("numpy", "dtype") else super().find_class(module, name)


def _plain_dtype(code: object, *_: object) -> Any:
    """A number's dtype; NumPy would build types inside types, with a pickle of a few bytes for hours."""
    import numpy as np

    if not isinstance(code, str) or _DTYPE.fullmatch(code) is None:
        raise TableError("the pickle holds a numpy type that is no plain number")
    return np.dtype(code)


def restricted_load(
    path: Path,
    allowed: frozenset[tuple[str, str]] = frozenset(),
    *,
    encoding: str = "ASCII",
    opener: Callable[[Path, Literal["rb"]], IO[bytes]] = open,
    advice: str = "install its package again",
) -> Any:
    """Load one pickle that may refer only to the ``allowed`` (module, name) pairs.

    Args:
        path: The file.
        allowed: Globals that it may contain.
        encoding: How text that Python 2 wrote is read.
        opener: ``gzip.open`` for a compressed pickle.
        advice: Remedy for a damaged file.

    Raises:
        TableError: The file is missing or truncated, or refers to anything else.
    """
    try:
        refuse_special_file(path)
        with opener(path, "rb") as file:
            unpickler = RestrictedUnpickler(file, encoding=encoding)
            unpickler.allowed = allowed
            return unpickler.load()
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror or error}") from error
    except TableError as error:
        raise TableError(f"refused to read {path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise TableError(f"{path} is no complete pickle ({type(error).__name__}): {advice}") from error
