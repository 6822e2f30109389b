"""Packages that only some commands need, and how to install them."""

from __future__ import annotations

from importlib.util import find_spec

from nasbench_harness.errors import InvalidInputError

USES_OF_EXTRAS = {
    "torch": "verify, tasks and strategies that train, tables build and measure, proxies score and build",
    "adapters": "the strategies of Optuna, pymoo and Nevergrad",
    "moo": "three and more objectives",
}
INSTALL_TORCH = "pip install torch nas-bench-201 animal-shape-mnist"


def require_torch(purpose: str) -> None:
    """Refuse a use that needs torch if torch is not installed.

    Args:
        purpose: The use, the subject of the message.

    Raises:
        InvalidInputError: torch is not installed.

    Example:
        >>> from importlib.util import find_spec
        >>> if find_spec("torch"):
        ...     require_torch("training")
    """
    if find_spec("torch") is None:
        raise InvalidInputError(f"{purpose} needs torch: {INSTALL_TORCH}")
