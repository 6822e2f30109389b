"""Scores as functions (network, batch) → number: the package's own, and any ``module:function``."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.places import place_in
from nasbench_harness.trainer.proxies.catalogue import proxy_of
from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import private_copy
from nasbench_harness.untrusted import first_line

Score: TypeAlias = Callable[[nn.Module, Batch], float]


def load_score(name: str) -> Score:
    """The function of a score, or of ``module:function`` (the current folder comes first).

    Raises:
        UnknownNameError: There is no such score, or no such function in the module.
        InvalidInputError: There is no such module, it cannot be imported, or the name is no function.
    """
    is_own = ":" not in name
    module_name, _, attribute = (proxy_of(name).reference if is_own else name).partition(":")
    if not is_own and str(Path.cwd()) not in sys.path[:1]:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with _seeded(f"import of {module_name}"):
            module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"proxy {name}: no module {error.name!r} in {Path.cwd()} or among the installed packages"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # code of the user may raise anything
        text = f"proxy {name}: {module_name} raised {type(error).__name__}: {first_line(error)}{place_in(error)}"
        raise InvalidInputError(text) from error
    if not hasattr(module, attribute):
        known = [entry for entry in dir(module) if entry[0] != "_"]
        raise UnknownNameError("function", attribute, known, module_name)
    score: Any = getattr(module, attribute)
    if not callable(score):
        raise InvalidInputError(f"proxy {name} must be a function (network, batch) -> number")
    function: Score = score
    return function


def code_digest(name: str) -> str:
    """sha256 of the file that defines the function ``module:function``; empty if there is no file."""
    try:
        file = inspect.getsourcefile(load_score(name))
        return "" if file is None else sha256(Path(file).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""


def call(name: str, score: Score, network: nn.Module, batch: Batch, key: str) -> float:
    """One score of one network; network and batch are left as they are.

    Args:
        name: Name of the score, or ``module:function``.
        score: Its function.
        network: The network; a function of the user gets a copy.
        batch: Inputs; a function of the user gets a copy.
        key: Text that the global random generators are seeded with for a function of the user.

    Raises:
        InvalidInputError: A function of the user raised, or returns something else than a number.
    """
    if ":" in name:
        try:
            with _seeded(key):
                value: Any = score(private_copy(network), batch.copy())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = f"proxy {name} raised {type(error).__name__}: {first_line(error)}{place_in(error)}"
            raise InvalidInputError(text) from error
    else:
        value = score(network, batch)
    try:
        return float(value)
    except Exception:  # a class of the user may raise anything
        raise InvalidInputError(
            f"proxy {name} must return a number, got {type(value).__name__}: return float(…)"
        ) from None


@contextmanager
def _seeded(key: str) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and PyTorch by a text.

    At the end they are as before, and so are PyTorch's default type and whether it records gradients.
    """
    seed = int.from_bytes(sha256(key.encode()).digest()[:4], "big")
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - code of the user may read the global one
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - as above
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 - as above
            torch.set_default_dtype(dtype)
