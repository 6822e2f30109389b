"""How strategies are written on the command line and in study files, and how the words become code."""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import CellType
from typing import Any

from nasbench_harness.engine.hyperparameters import check_ranges
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import HarnessError, InvalidInputError, UnknownNameError
from nasbench_harness.optional import INSTALL_TORCH
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import strategy_entry_points
from nasbench_harness.untrusted import fault_of_text, first_line

_LABEL = re.compile(r"[A-Za-z0-9._\- ]+")
_REGISTERED = re.compile(r"[a-z0-9-]+")
_OPENING, _CLOSING = "([{", ")]}"


def split_list(text: str) -> list[str]:
    """Split at commas outside parentheses, brackets and quotes.

    Raises:
        InvalidInputError: A bracket or quote is left open.
    """
    parts, depth, quote, is_escaped = [""], 0, "", False
    for character in text:
        if quote:
            ends = character == quote and not is_escaped
            is_escaped = quote == '"' and character == "\\" and not is_escaped
            quote = "" if ends else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    if quote or depth:
        raise InvalidInputError(f"{text!r}: a {'quote' if quote else 'bracket'} is left open or closed too often")
    return [part.strip() for part in parts if part.strip()]


def parse_strategy(text: str) -> StrategyRef:
    """Parse one ``[label=]reference[(key=value, …)]``; the parentheses hold a TOML inline table.

    Raises:
        InvalidInputError: The text does not have this form.
    """
    head, parenthesis, rest = text.partition("(")
    label, equals, reference = head.partition("=")
    if not equals:
        label, reference = "", head
    parameters: dict[str, Any] = {}
    if parenthesis:
        inside, closed, behind = rest.rpartition(")")
        if not closed or behind.strip():
            raise InvalidInputError(f"strategy {text!r}: the parameters must end with ')'")
        try:
            parameters = tomllib.loads(f"parameters = {{{inside}}}")["parameters"]
        except tomllib.TOMLDecodeError as error:
            raise InvalidInputError(
                f"strategy {text!r}: cannot read the parameters ({error}); write key=value, … as in TOML: "
                "strings in quotes, true and false in lower case"
            ) from None
    if not reference.strip():
        raise InvalidInputError(f"strategy {text!r}: no name before the parameters")
    if equals:
        check_label(label.strip())
    return StrategyRef(reference.strip(), label.strip() if equals else None, parameters)


def resolve(entry: StrategyRef) -> ResolvedStrategy:
    """Find the code of a strategy and complete its hyperparameters.

    Raises:
        UnknownNameError: No such strategy or hyperparameter.
        InvalidInputError: The reference leads to no strategy, or a parameter has no value or one out of its range.
    """
    reference, target = _find(entry.use)
    known = _hyperparameters(reference, target)
    for key in entry.parameters:
        if key not in known:
            raise UnknownNameError("hyperparameter", key, known, f"strategy {reference}")
    defaults = {name: value for name, value in known.items() if value is not inspect.Parameter.empty}
    parameters = {**defaults, **entry.parameters}
    missing = sorted(known.keys() - parameters.keys())
    if missing:
        raise InvalidInputError(f"strategy {reference}: hyperparameter {missing[0]} has no default: give it a value")
    try:
        json.dumps(parameters)
    except TypeError as error:
        raise InvalidInputError(f"strategy {reference}: hyperparameters must be JSON values: {error}") from None
    for key, value in entry.parameters.items():
        _check_kind(reference, key, value, known[key])
    check_ranges(target, reference, parameters)
    for key, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):  # a report could not write it as JSON
            raise InvalidInputError(f"strategy {reference}: {key} must be a finite number, got {value}")
    given = {name: parameters[name] for name in known if name in entry.parameters}
    changed = {name: value for name, value in given.items() if name not in defaults or value != defaults[name]}
    plain = reference.replace("<locals>.", "")  # a label holds no HTML tag
    default_label = plain + (f"({_inline(changed)})" if changed else "")
    if entry.label not in (None, default_label):
        check_label(str(entry.label))
    elif fault := fault_of_text(default_label):  # a study with it could not be opened again
        raise InvalidInputError(
            f"strategy {reference}: the label made of its hyperparameters {fault}: give it one, label={reference}(…)"
        )
    return ResolvedStrategy(entry.label or default_label, reference, parameters, target, source_hash(target))


def check_label(text: str) -> None:
    """Refuse text that is no label.

    Raises:
        InvalidInputError: It is empty or holds other characters.
    """
    if not is_label(text):
        raise InvalidInputError(f"label {text!r}: use letters, digits, '.', '_', '-' and spaces only")


def is_label(text: str) -> bool:
    """Whether a strategy can be labeled so; default labels may hold colons and parentheses too."""
    return _LABEL.fullmatch(text) is not None


def resolve_all(entries: list[StrategyRef]) -> list[ResolvedStrategy]:
    """Resolve strategies that are to be compared.

    Raises:
        InvalidInputError: There are none, or two have the same label or equal hyperparameters.
    """
    if not entries:
        raise InvalidInputError("no strategies given: name at least one")
    specs = [resolve(entry) for entry in entries]
    by_label: dict[str, ResolvedStrategy] = {}
    by_identity: dict[str, ResolvedStrategy] = {}
    for spec in specs:
        values = json.loads(json.dumps(spec.parameters), parse_int=float)  # 1 and 1.0 are the same runs
        identity = f"{spec.reference} {json.dumps(values, sort_keys=True)}"
        if identity in by_identity:
            raise InvalidInputError(
                f"strategies {by_identity[identity].label!r} and {spec.label!r} are the same ({spec.reference} with "
                "equal hyperparameters): drop one or change a hyperparameter"
            )
        if spec.label in by_label:
            raise InvalidInputError(f"two strategies have the label {spec.label!r}: give one another label=")
        by_label[spec.label] = by_identity[identity] = spec
    return specs


def source_hash(target: Callable[..., Any]) -> str:
    """Hash of the file that defines a strategy, without comments and docstrings.

    For ``__main__`` and notebooks it is the object's own source, else its bytecode with the Python version. Values that
    the function took from an enclosing one belong to it.
    """
    taken = [_content(cell) for cell in getattr(target, "__closure__", None) or ()]
    code = _code_hash(target)
    return sha256(f"{code} {taken}".encode()).hexdigest() if taken else code


def _content(cell: CellType) -> str:
    """A variable of an enclosing function, by value if JSON can write it, else by kind."""
    try:
        content = cell.cell_contents
    except ValueError:
        return "nothing"
    try:
        return json.dumps(content, default=lambda value: type(value).__qualname__, skipkeys=True)
    except (ValueError, RecursionError):  # it contains itself
        return type(content).__qualname__


def _code_hash(target: Callable[..., Any]) -> str:
    try:
        file = inspect.getsourcefile(target)
        if file == "<string>":  # Python 3.13 finds the text of `python -c` under this name, whoever defined the target
            raise OSError("no source")
        in_session = target.__module__ == "__main__" or file is None or not Path(file).exists()
        text = inspect.getsource(target) if in_session or file is None else Path(file).read_text(encoding="utf-8")
        return _text_hash(dedent(text))
    except (OSError, TypeError, SyntaxError):
        return sha256(f"{sys.version} {_bytecode(target)}".encode()).hexdigest()


@lru_cache(maxsize=256)
def _text_hash(text: str) -> str:
    """Hash of a source text without comments and docstrings; parsing takes milliseconds, and texts come again."""
    return sha256(_without_docstrings(text).encode()).hexdigest()


def _bytecode(target: Any) -> str:
    """Instructions, constants and names of a function, or of every function of a class."""
    if isinstance(target, type):
        functions = [value for _, value in sorted(vars(target).items()) if hasattr(value, "__code__")]
        return " ".join(map(_bytecode, functions))
    code = getattr(target, "__code__", target)
    if not hasattr(code, "co_code"):
        return repr(code)
    constants = [_bytecode(constant) if hasattr(constant, "co_code") else repr(constant) for constant in code.co_consts]
    return f"{code.co_code!r} {constants} {code.co_names} {code.co_varnames}"


def _find(use: str | Callable[..., Any]) -> tuple[str, Callable[..., Any]]:
    if not isinstance(use, str):
        if not (callable(use) and hasattr(use, "__qualname__")):
            raise _no_strategy(repr(use))
        reference = f"{use.__module__}:{use.__qualname__}"
        for name, entry in strategy_entry_points().items():
            if entry.value == reference:
                reference = name
        return reference, _checked(reference, use)
    if ":" in use:
        return use, _checked(use, import_reference(f"strategy {use}", use))
    if use not in strategy_entry_points():
        advice = "" if _REGISTERED.fullmatch(use) else f"; code of your own is written {Path(use).stem}:NAME"
        raise UnknownNameError("strategy", use, strategy_entry_points(), advice=advice)
    return use, _checked(use, _installed(use))


def _installed(name: str) -> Any:
    """The object of an installed strategy's entry point.

    Raises:
        InvalidInputError: It needs a package that is not installed, or importing it failed.
    """
    try:
        return strategy_entry_points()[name].load()
    except ModuleNotFoundError as error:
        advice = f": {INSTALL_TORCH}" if error.name == "torch" else ""
        raise InvalidInputError(f"strategy {name} needs {error.name}, which is not installed{advice}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InvalidInputError(f"strategy {name} cannot be imported: {reason}") from error


def import_reference(place: str, reference: str) -> Any:
    """The object that ``module:attribute`` names; the current folder is searched first.

    Args:
        place: Beginning of error messages.
        reference: The text.

    Raises:
        HarnessError: There is no such module or attribute, or importing it failed.
    """
    module_name, _, attribute = reference.partition(":")
    if sys.path[:1] != [""] and str(Path.cwd()) not in sys.path[:1]:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with redirect_stdout(sys.stderr):  # what it prints is no result of a command
            target: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise HarnessError(f"{place}: importing {module_name} needs {error.name}: install it") from None
        fault = f"no module {error.name!r} in {Path.cwd()} or among the installed packages"
        hint = ": write the module without .py" if module_name.endswith(".py") else ""
        raise InvalidInputError(f"{place}: {fault}{hint}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise HarnessError(
            f"{place}: importing {module_name} failed with {type(error).__name__}: {first_line(error)}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            raise UnknownNameError("attribute", part, [name for name in dir(target) if name[0] != "_"], module_name)
        target = getattr(target, part)
    return target


def _checked(reference: str, target: Any) -> Callable[..., Any]:
    from nasbench_harness.engine.strategy import Strategy

    if inspect.isgeneratorfunction(target):
        search: Callable[..., Any] = target
        return search
    if isinstance(target, type) and issubclass(target, Strategy):
        if inspect.isabstract(target):
            methods = ", ".join(sorted(target.__abstractmethods__))
            raise InvalidInputError(f"strategy {reference}: the class does not define {methods}")
        return target
    raise _no_strategy(reference)


def _no_strategy(reference: str) -> InvalidInputError:
    return InvalidInputError(
        f"strategy {reference} is neither a Strategy class nor a generator function: a function of one run must "
        "yield architectures, e.g. `evaluation = yield problem.space.sample(rng)`"
    )


def _hyperparameters(reference: str, target: Callable[..., Any]) -> dict[str, Any]:
    """Default of every hyperparameter; Parameter.empty if there is none."""
    parameters = list(inspect.signature(target).parameters.values())
    if len(parameters) < 2:
        raise InvalidInputError(f"strategy {reference} must take (problem, rng, *, hyperparameters)")
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {parameter.name: parameter.default for parameter in parameters[2:] if parameter.kind not in kinds}


def _check_kind(reference: str, key: str, value: Any, default: Any) -> None:
    """A value must be of its default's kind: nobody means half a population."""
    kinds: dict[type, tuple[tuple[type, ...], str]] = {
        bool: ((bool,), "true or false"),
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        str: ((str,), "a text in quotes"),
    }
    allowed, wanted = kinds.get(type(default), ((object,), ""))
    if not isinstance(value, allowed) or (isinstance(value, bool) and type(default) in (int, float)):
        raise InvalidInputError(
            f"strategy {reference}: {key} must be {wanted}, like its default {json.dumps(default)}, not {value!r}"
        )


def _inline(parameters: Mapping[str, Any]) -> str:
    return ",".join(
        f"{name}={json.dumps(value) if isinstance(value, bool) else value}" for name, value in parameters.items()
    )


def _without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
