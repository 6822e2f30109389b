"""Place of an error in the user's own code."""

from __future__ import annotations

import site
import sysconfig
import traceback
from pathlib import Path

_ROOT = str(Path(__file__).parent)


def place_in(error: BaseException) -> str:
    """The innermost line outside this package, the standard library and installed packages.

    Args:
        error: The error, with the errors that led to it.

    Returns:
        E.g. ``", at my_search.py:23"``; empty if the error passed no such line.
    """
    foreign = (_ROOT, sysconfig.get_path("stdlib"), *site.getsitepackages(), "<")
    found: BaseException | None = error
    seen: set[int] = set()  # an error may be among the causes of its own cause
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        for frame in reversed(traceback.extract_tb(found.__traceback__)):
            if not frame.filename.startswith(foreign):
                return f", at {Path(frame.filename).name}:{frame.lineno}"
        found = found.__cause__ or found.__context__
    return ""
