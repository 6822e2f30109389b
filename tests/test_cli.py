"""The command line as a user meets it: processes, exit codes, one clear line for each mistake."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import click
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from nasbench_harness import load_task, open_study
from nasbench_harness.cli import main, studies
from nasbench_harness.cli.base import Group
from nasbench_harness.errors import InvalidInputError, RunsFailedError
from nasbench_harness.optional import INSTALL_TORCH
from nasbench_harness.verification import winners

SMALL = ("--strategies", "random-search", "--tasks", "nb201-cifar10", "--seeds", "12", "--evaluations", "20")
MY_SEARCH = """
def my_search(problem, rng, *, offset=0):
    '''Docstring.'''
    while True:
        yield (problem.space.sample(rng) + offset) % problem.space.num_architectures

def broken(problem, rng):
    yield 0
    raise KeyError("my own mistake")
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Folder of the study SMALL with its report; tests copy it."""
    folder = tmp_path_factory.mktemp("small")
    command = [sys.executable, "-m", "nasbench_harness", "compare", *SMALL, "--out", "s"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "s"


def segments(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}


def test_compare_ends_with_speed_and_the_place_of_the_report(cli, tmp_path):
    done = cli("compare", *SMALL)
    assert done.returncode == 0, done.stderr
    *_, speed, place, verification = done.stdout.splitlines()
    assert re.fullmatch(r"240 evaluations in [\d.]+ s: [\d,]+ evaluations per second", speed)
    folder = re.fullmatch(r"report: (nasbench-results/[0-9a-f]{8}/report) \(.*main\.tex.*anytime\.pdf.*\)", place)[1]
    assert (tmp_path / folder / "main.tex").is_file()
    command = f"nasbench-harness verify {folder.removesuffix('/report')} --task nb201-cifar10"
    needs = "" if find_spec("torch") else " (needs the extra torch)"
    assert verification == f"next, if you like: {command}{needs}"
    assert "random search, exact" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "12 runs" in line]


def test_the_same_command_again_does_nothing_and_more_seeds_run_only_the_missing(cli, small, tmp_path):
    shutil.copytree(small, tmp_path / "s")
    before = segments(tmp_path / "s")
    again = cli("compare", *SMALL, "--out", "s")
    assert "nothing to run; 12 runs were there already" in again.stdout
    assert segments(tmp_path / "s") == before
    more = cli("compare", *SMALL, "--seeds", "30", "--out", "s")
    assert "360 evaluations" in more.stdout
    assert before.items() <= segments(tmp_path / "s").items()
    assert sorted(path.name for path in segments(tmp_path / "s")) == ["seeds-0-11.parquet", "seeds-12-29.parquet"]


@pytest.mark.thorough
def test_a_study_in_parts_reports_what_a_study_at_once_reports(cli, tmp_path):
    for seeds in ("7", "30"):
        assert cli("compare", *SMALL, "--seeds", seeds, "--out", "parts").returncode == 0
    assert cli("compare", *SMALL, "--seeds", "30", "--out", "once").returncode == 0
    for path in (tmp_path / "once" / "report").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / "report" / path.name).read_bytes(), path.name


@pytest.mark.thorough
def test_same_bytes_with_another_hash_seed_and_two_jobs(cli, tmp_path):
    wide = ("compare", "--tasks", "nb201-cifar10", "--seeds", "130", "--evaluations", "15")
    assert cli(*wide, "--out", "a", PYTHONHASHSEED="1").returncode == 0
    assert cli(*wide, "--out", "b", "--jobs", "2", PYTHONHASHSEED="2").returncode == 0
    for part in ("report", "runs"):
        for path in (tmp_path / "a" / part).rglob("*.*"):
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path


@pytest.mark.thorough
def test_changed_code_runs_again_and_old_runs_are_kept(cli, tmp_path):
    mine = ("compare", "--strategies", "mine=my_search:my_search", *SMALL[2:], "--out", "s")
    source = tmp_path / "my_search.py"
    source.write_text(MY_SEARCH)
    assert cli(*mine).returncode == 0
    source.write_text(MY_SEARCH.replace("Docstring", "Other words  # and a comment"))
    assert "nothing to run" in cli(*mine).stdout
    source.write_text(MY_SEARCH.replace("+ offset", "+ offset + 1"))
    assert "nothing to run" in cli(*mine, "--keep-stale").stdout
    changed = cli(*mine)
    assert "mine on nb201-cifar10: runs again (its code changed); old runs are in superseded/" in changed.stderr
    assert "240 evaluations" in changed.stdout
    assert len(list((tmp_path / "s" / "superseded").rglob("*.parquet"))) == 1
    assert "runs again (asked for)" in cli(*mine, "--rerun", "mine").stderr
    assert len(list((tmp_path / "s" / "superseded").rglob("*.parquet"))) == 2


def test_a_failing_strategy_is_recorded_and_the_others_go_on(cli, tmp_path):
    (tmp_path / "my_search.py").write_text(MY_SEARCH)
    done = cli("compare", "--strategies", "bad=my_search:broken,random-search", *SMALL[2:], "--out", "s")
    assert done.returncode == 1
    line = r"failed: bad on nb201-cifar10, seeds 0-11: KeyError: 'my own mistake', at \w+\.py:\d+ \(log: "
    assert re.search(line, done.stderr)
    assert "12 of 24 runs were stored" in done.stderr
    (log,) = (tmp_path / "s" / "failures").glob("*.log")
    assert "Traceback" in log.read_text()
    assert "my own mistake" in log.read_text()
    status = cli("status", "s")
    assert "12 of 24 runs done" in status.stdout
    assert "bad: 12 of 12 missing" in status.stdout
    report = cli("report", "s")
    assert report.returncode == 2
    assert "is not complete (bad on nb201-cifar10 does not have 12 of 12 runs)" in report.stderr


def test_a_killed_study_goes_on_where_it_stopped(cli, tmp_path):
    strategies = "local-search,random-search,regularized-evolution"
    arguments = ("run", "--strategies", strategies, "--tasks", "nb201-cifar10", "--seeds", "3000")
    arguments += ("--evaluations", "100", "--out", "s")
    process = subprocess.Popen(
        [sys.executable, "-m", "nasbench_harness", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not segments(tmp_path / "s") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = segments(tmp_path / "s")
    assert before
    done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    assert before.items() <= segments(tmp_path / "s").items()
    assert "9,000 of 9,000 runs done" in cli("status", "s").stdout


MISTAKES = [
    (("compare", "--tasks", "nb201-cifar1O"), "unknown task 'nb201-cifar1O': did you mean 'nb201-cifar10'?"),
    *(
        (("compare", "--tasks", name), f"{name} is no task: write those you want, with commas: nb201-cifar10,nb201-")
        for name in ("nb201", "nb201-*")
    ),
    (("compare", "--tasks", ""), "no tasks given"),
    (("compare", "--simulated-seconds", "0"), "simulated_seconds must be a number above 0, at most 1e15, not 0.0"),
    (("compare", "--simulated-seconds", "9", "--overrun", "cout"), "unknown overrun 'cout': did you mean 'count'?"),
    (("compare", "--duplicates-by", "class"), "duplicates_by=class needs duplicates=free or forbid"),
    (("compare", "--fidelity", "12", "--tasks", "nb201-cifar10"), "no fidelity of 12 epochs: it has 200 epochs"),
    (("compare", "--tasks", "nb201-cifar10,nb201-cifar10"), "task nb201-cifar10 is named twice"),
    (("compare", "--seeds", "0"), "seeds must be a whole number in 1 …"),
    (("compare", "--evaluations", "0"), "evaluations must be a whole number in 1 … 1,000,000, not 0"),
    (
        ("compare", "--evaluations", "1000000000000"),
        "evaluations must be a whole number in 1 … 1,000,000, not 1000000000000",
    ),
    (("compare", "--workers", "1000000000"), "workers must be a whole number in 1 … 1,000, not 1000000000"),
    (("compare", "--config", "huge.toml"), "workers must be a whole number in 1 … 1,000, not 1000000000"),
    (("compare", "--simulated-seconds", "1e14"), "lower it, or set evaluations to at most 1,000,000"),
    (("compare", "--study-seed", "-1"), "study_seed must be a whole number of at least 0"),
    (("compare", "--jobs", "0"), "jobs must be a whole number of at least 1"),
    (("compare", "--noise", "perquery"), "noise must be per_query, per_run, replicate=k or mean"),
    (
        ("compare", "--tasks", "nb201-cifar10", "--noise", "replicate=2"),
        "7,456 of 15,625 architectures have no replicate 2",
    ),
    (("compare", "--duplicates", "fre"), "unknown duplicates 'fre': did you mean 'free'?"),
    (("compare", "--strategies", "randomsearch"), "unknown strategy 'randomsearch': did you mean 'random-search'?"),
    (("compare", "--strategies", "random-search,a=random-search"), "are the same"),
    (("compare", "--strategies", "a=random-search,a=local-search"), "two strategies have the label 'a'"),
    (("compare", "--strategies", "local-search(num_initial=0)"), "num_initial must be at least 1, not 0"),
    (("compare", "--strategies", "local-search(acceptance=first)"), "write key=value, … as in TOML"),
    (("compare", "--strategies", "local-search(num_init=1)"), "did you mean 'num_initial'?"),
    (("compare", "--strategies", "local-search(num_initial=1"), "a bracket is left open"),
    (("compare", "--strategies", "my_search"), "; code of your own is written my_search:NAME"),
    (("compare", "--strategies", "nowhere:search"), "no module 'nowhere'"),
    (("compare", "--strategies", "json:dumps"), "is neither a Strategy class nor a generator function"),
    (("compare", "--strategies", "json:dunps"), "unknown attribute 'dunps' in json: did you mean 'dumps'?"),
    (("compare", "--rerun", "x"), "unknown label 'x' in rerun"),
    (("compare", "--config", "none.toml"), "cannot read the study file none.toml"),
    (("compare", "--config", "typo.toml"), "unknown key 'seds' in typo.toml: did you mean 'seeds'?"),
    (("compare", "--config", "field.toml"), "unknown protocol field 'noize' in field.toml: did you mean 'noise'?"),
    (("compare", "--out", "typo.toml"), "typo.toml is a file, but the study's folder should be there"),
    (("compare", "--out", "typo.toml/deeper"), "typo.toml is a file"),
    (("report", "nowhere"), "nowhere does not exist"),
    (("stat",), "no such command 'stat'"),
    (("compare", "--seeds", "ten"), "'ten' is not a valid integer (see "),
    (("compare", "nb201"), "got unexpected extra argument (nb201) (see "),
    (("compare", "--taskss", "nb201-cifar10"), "no such option '--taskss'. Did you mean '--tasks'?"),
    (("compare", "--seeds"), "requires an argument"),
    (("tables", "info"), "missing argument 'NAME' (see "),
    (("status", "typo.toml"), "typo.toml is a file, but the study's folder should be there: name another folder"),
    (("status", "nowhere"), "nowhere does not exist"),
    (("export", "nowhere"), "nowhere does not exist"),
    (("export", "nowhere", "--trace", "a", "--format", "parquet"), "--trace writes the CSV that add-trace reads"),
    (("add-trace", "nowhere", "runs.csv", "--label", "mine"), "nowhere does not exist"),
    (("baseline", "check", "typo.toml"), "typo.toml is a file: name the folder of the baselines"),
    (("reproduce", "nb201-table5", "--table", "nb201", "--out", "typo.toml/a.md"), "typo.toml is no folder that you"),
    (("tables", "info", "nb2O1"), "unknown table 'nb2O1': did you mean 'nb201'?"),
    (("compare", "--families", ""), "--families names no family"),
    (("strategies", "info", "local"), "unknown strategy 'local': did you mean 'local-search'?"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_gets_one_line_and_leaves_nothing(cli, tmp_path, arguments, message):
    (tmp_path / "typo.toml").write_text("seds = 3\n")
    (tmp_path / "field.toml").write_text("[protocol]\nnoize = 'mean'\n")
    (tmp_path / "huge.toml").write_text("[protocol]\nworkers = 1_000_000_000\n")
    before = sorted(tmp_path.rglob("*"))
    done = cli(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["truncated", "altered", "misnamed"])
def test_a_damaged_segment_is_moved_aside_and_its_runs_are_done_again(cli, small, tmp_path, damage):
    shutil.copytree(small, tmp_path / "s")
    (path,) = segments(tmp_path / "s")
    before = {file.name: file.read_bytes() for file in (tmp_path / "s" / "report").iterdir()}
    whole = path.read_bytes()
    if damage == "misnamed":
        path.rename(path.with_name("seeds-2-13.parquet"))
    else:
        path.write_bytes(whole[:500] if damage == "truncated" else whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert "; damaged: s/runs/" in cli("report", "s").stderr
    status = cli("status", "s")
    assert status.returncode == 0
    assert "0 of 12 runs done" in status.stdout
    assert re.search(r"\n  damaged: s/runs/\S+\.parquet .*: the command that runs the study moves it", status.stdout)
    done = cli("compare", *SMALL, "--out", "s")
    assert done.returncode == 0
    line, _ = done.stderr.splitlines()
    assert re.fullmatch(r"damaged segment: s/runs/\S+\.parquet .*; moved to damaged/; their seeds run again", line)
    assert len(list((tmp_path / "s" / "damaged").rglob("*.parquet"))) == 1
    assert path.read_bytes() == whole
    assert {file.name: file.read_bytes() for file in (tmp_path / "s" / "report").iterdir()} == before


@pytest.mark.thorough
def test_a_corrupt_cache_is_named(cli, tmp_path):
    cache = tmp_path / "cache"
    assert cli("tables", "info", "nb201", NASBENCH_HARNESS_CACHE=str(cache)).returncode == 0
    (array,) = cache.rglob("cifar10.val_accuracy.npy")
    content = bytearray(array.read_bytes())
    content[-100] ^= 1
    array.write_bytes(content)
    done = cli("compare", *SMALL, NASBENCH_HARNESS_CACHE=str(cache))
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: the cached table \S+ is corrupt \(cifar10.val_accuracy.npy .*\): delete .*\n", done.stderr
    )
    shutil.rmtree(cache)
    assert cli("compare", *SMALL, NASBENCH_HARNESS_CACHE=str(cache)).returncode == 0


def test_a_study_file_repeats_a_study_and_flags_override_it(cli, tmp_path):
    (tmp_path / "my.toml").write_text(
        "seeds = 11\ntasks = ['nb201-cifar10']\n[protocol]\nevaluations = 9\nnoise = 'mean'\n"
        "[[strategies]]\nuse = 'regularized-evolution'\nlabel = 'RE'\n"
        "parameters = { population_size = 4, sample_size = 2 }\n"
    )
    assert cli("compare", "--config", "my.toml", "--out", "a").returncode == 0
    record = (tmp_path / "a" / "study.toml").read_text()
    assert "seeds = 11" in record
    assert 'label = "RE"' in record
    again = cli("compare", "--config", "a/study.toml", "--out", "a")
    assert "nothing to run" in again.stdout
    other = cli("compare", "--config", "my.toml", "--out", "b", "--evaluations", "5", "--strategies", "random-search")
    assert "55 evaluations" in other.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", *SMALL),
        ("run", *SMALL),
        ("tables", "list"),
        ("tables", "info", "nb201"),
        ("strategies", "list"),
        ("strategies", "info", "local-search"),
    ],
)
def test_json_is_all_that_stands_on_standard_output(cli, arguments):
    done = cli(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_the_table_of_a_verification_is_no_part_of_the_json(monkeypatch, tmp_path):
    monkeypatch.setattr(studies, "check_verification", lambda *_, **__: None)
    monkeypatch.setattr(winners, "verifiable_tasks", lambda study: study.tasks)
    monkeypatch.setattr(studies, "verify_study", lambda *_, **__: print("the table"))
    done = CliRunner().invoke(main, ["compare", *SMALL, "--out", str(tmp_path / "s"), "--verify", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)
    assert "the table" in done.stderr


def test_families_and_all_run_what_can_run(cli):
    options = ("--tasks", "graph-cora", "--seeds", "2", "--evaluations", "3", "--out", "s")
    done = cli("run", "--families", "random,training-free", *options)
    assert done.returncode == 0, done.stderr
    assert "left out: strategy best-by-score needs training-free scores" in done.stderr
    assert "1 strategy × 1 task" in cli("status", "s").stdout
    done = cli("run", "--families", "local", "--strategies", "random-search", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--strategies and --families both choose the strategies" in done.stderr


def test_ranges_are_shown(cli):
    assert "sample_size = 10    1 … population_size" in cli("strategies", "info", "regularized-evolution").stdout


@pytest.mark.parametrize("own", ["", '    """Of the function."""\n'])
def test_a_strategy_of_ones_own_is_described_by_its_docstring_or_that_of_its_module(tmp_path, monkeypatch, own):
    name = f"described{len(own)}"
    (tmp_path / f"{name}.py").write_text(f'"""Of the module."""\ndef search(problem, rng):\n{own}    yield 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["strategies", "info", f"{name}:search"])
    assert done.stdout == f"Of the {'function' if own else 'module'}.\n\nNo hyperparameters\n"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_strategy_is_described_without_a_package_that_it_needs(monkeypatch, form):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    for name in [name for name in sys.modules if name.startswith("nasbench_strategies.weight_sharing")]:
        monkeypatch.delitem(sys.modules, name)
    done = CliRunner().invoke(main, ["strategies", "info", "gdas", *form])
    assert done.exit_code == 0
    assert (
        done.stderr
        == f"hyperparameters are not shown: strategy gdas needs torch, which is not installed: {INSTALL_TORCH}\n"
    )
    text = json.loads(done.stdout)["description"] if form else done.stdout
    assert text.startswith("GDAS")


def test_json_of_status_and_report(cli):
    assert cli("run", *SMALL, "--out", "s").returncode == 0
    assert json.loads(cli("status", "s", "--json").stdout) == {
        "runs": 12,
        "done": 12,
        "missing": [],
        "damaged": [],
        "failures": [],
    }
    done = json.loads(cli("report", "s", "--format", "csv", "--json").stdout)
    names = ["main", "paper", "nb201-cifar10", "equivalents", "measures", "spending", "anytime", "anytime_seconds"]
    written = [f"{name}.csv" for name in names]
    assert done == {"folder": "s/report", "files": written, "removed": [], "others": []}
    figures = json.loads(cli("report", "s", "--format", "png", "--json").stdout)
    assert figures["files"] == ["anytime.png", "anytime_seconds.png"]
    assert figures["removed"] == sorted(written)
    last = cli("report", "s", "--format", "latex").stdout.splitlines()[-2:]
    assert last[0] == "removed, as this report does not have them: anytime.png, anytime_seconds.png"
    assert last[1] == "in a paper: \\input{s/report/paper.tex}, with \\usepackage{booktabs,siunitx}"
    everything = json.loads(cli("report", "s", "--format", "all", "--json").stdout)["files"]
    assert {name.partition(".")[2] for name in everything} == {"md", "tex", "csv", "json", "pdf", "png", "html"}
    removed = cli("report", "s", "--format", "markdown").stdout.splitlines()[-1].partition(": ")[2].split(", ")
    gone = sorted(set(everything) - {"report.md"})
    assert removed == [*gone[:8], f"{len(gone) - 8} more"]
    cli("report", "s", "--format", "png")
    again = cli("compare", *SMALL, "--out", "s").stdout
    assert "removed, as this report does not have them: anytime.png, anytime_seconds.png\n" in again


def test_missing_values_of_a_table_are_counted(cli):
    lines = cli("tables", "info", "nb201").stdout.splitlines()
    found = json.loads(cli("tables", "info", "nb201", "--json").stdout)["tasks"]["nb201-cifar10"]["metrics"]
    values = load_task("nb201-cifar10").table.datasets["cifar10"].columns
    counts = {metric["name"]: metric["missing"] for metric in found}
    assert counts.items() >= {name: int(np.isnan(column.values).sum()) for name, column in values.items()}.items()
    assert counts["val_accuracy"] > 0
    expected = f", {counts['val_accuracy']:,} of {values['val_accuracy'].values.size:,} values missing"
    assert any(line.startswith("  val_accuracy ") and line.endswith(expected) for line in lines)


def test_every_verb_has_help(cli):
    verbs = ("compare", "run", "status", "report", "add-trace", "export", "tables", "strategies")
    for verb in ((), *((name,) for name in verbs)):
        done = cli(*verb, "--help")
        assert done.returncode == 0
        assert "Usage:" in done.stdout
    fields = set(re.findall(r"--([a-z-]+)", cli("compare", "--help").stdout))
    from nasbench_harness import Protocol

    assert {name.replace("_", "-") for name in Protocol.__dataclass_fields__} <= fields


@pytest.mark.thorough
def test_the_command_and_the_study_file_of_a_report_repeat_it(cli, tmp_path):
    """Also where strategies have no label of their own: their default labels hold colons and parentheses."""
    (tmp_path / "my_search.py").write_text(MY_SEARCH)
    written = "my_search:my_search(offset=2),regularized-evolution(sample_size=2,population_size=4),my_search:my_search"
    assert cli("compare", "--strategies", written, *SMALL[2:], "--out", "s").returncode == 0
    command = shlex.split((tmp_path / "s" / "report" / "main.csv").read_text().partition("\n")[0])[3:]
    assert command[0] == "nasbench-harness"
    for again in (command[1:], ["compare", "--config", "s/study.toml"]):
        done = cli(*again, "--out", "s")
        assert "nothing to run; 36 runs were there already" in done.stdout, done.stderr
    before = (tmp_path / "s" / "report" / "main.csv").read_bytes()
    assert cli("report", "s").returncode == 0
    assert (tmp_path / "s" / "report" / "main.csv").read_bytes() == before


def test_a_run_without_any_result_is_a_failure_of_its_strategy(cli, tmp_path):
    (tmp_path / "my_search.py").write_text("def nothing(problem, rng):\n    return\n    yield\n")
    done = cli("compare", "--strategies", "my_search:nothing", *SMALL[2:])
    assert done.returncode == 1
    assert "seeds 0-11: nothing: the run ended without an evaluation or a recommendation" in done.stderr


def test_a_strategy_without_results_ends_the_report_with_exit_code_1(cli, tmp_path):
    (tmp_path / "my_search.py").write_text(
        "from nasbench_harness import Proposal\n"
        "def late(problem, rng):\n    yield Proposal(problem.space.sample(rng), extra_cost_s=1e6)\n"
    )
    rules = ("--strategies", "random-search,late=my_search:late", "--tasks", "nb201-cifar10", "--seeds", "3")
    assert cli("run", *rules, "--simulated-seconds", "20000", "--out", "s").returncode == 0
    line = "failed: late on nb201-cifar10, seeds 0-2: 3 of 3 runs ended without a result, so the strategy is not scored"
    for options in ((), ("--json",)):
        done = cli("report", "s", "--format", "csv", *options)
        assert done.returncode == 1
        assert line in done.stderr
    assert json.loads(done.stdout)["files"][:2] == ["main.csv", "paper.csv"]
    assert "late" in (tmp_path / "s" / "report" / "main.csv").read_text()
    for options in ((), ("--compare", "late,random-search"), ("--json",)):
        done = cli("stats", "s", *options)
        assert done.returncode == 1
        assert line in done.stderr
        assert "nb201-cifar10: late is not scored, as 3 of 3 runs ended without a result." in done.stdout


@pytest.mark.thorough
def test_stale_runs_stay_where_they_are_when_the_study_is_refused(cli, tmp_path):
    mine = ("compare", "--strategies", "random-search,my_search:my_search", "--seeds", "3", "--evaluations", "4")
    mine += ("--tasks", "nb201-cifar10,nb201-cifar100", "--out", "s")
    (tmp_path / "my_search.py").write_text(MY_SEARCH)
    assert cli(*mine).returncode == 0
    (tmp_path / "my_search.py").write_text(MY_SEARCH.replace("+ offset", "+ offset + 1"))
    record = (tmp_path / "s" / "study.toml").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    for refused, message in {
        (
            "--evaluations",
            "5",
        ): "s holds a study with evaluations 4, but this command has evaluations 5: a",
        (
            "--study-seed",
            "3",
        ): "s holds a study with study seed 0, but this command has study seed 3: a folder",
        ("--rerun", "x"): "unknown label 'x' in rerun",
        ("--tasks", "graph-cora", "--verify", "--top", "1"): "no task of this study can be verified",
    }.items():
        words = [word for word in mine if "--tasks" not in refused or word not in mine[-4:-2]]  # a list is given once
        done = cli(*words, *refused)
        assert done.returncode == 2, refused
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == before
    assert (tmp_path / "s" / "study.toml").read_bytes() == record


def test_a_log_is_shown_only_while_its_runs_are_missing(cli, tmp_path):
    mine = ("run", "--strategies", "my_search:broken", *SMALL[2:], "--out", "s")
    (tmp_path / "my_search.py").write_text(MY_SEARCH)
    assert cli(*mine).returncode == 1
    assert "failed before" in cli("status", "s").stdout
    (tmp_path / "my_search.py").write_text(MY_SEARCH.replace('    raise KeyError("my own mistake")', "    yield 1"))
    assert cli(*mine).returncode == 0
    assert "failed before" not in cli("status", "s").stdout


STUDY_FILE = """
seeds = 12
tasks = ["nb201-cifar10"]

[protocol]
evaluations = 20

[[strategies]]
use = "random-search"

[[strategies]]
use = "local-search"
label = "mine"

[report]
order = ["mine"]
highlight = ["mine"]

[[quoted]]
method = "DARTS"
task = "nb201-cifar10"
metric = "val_accuracy"
mean = 39.77
std = 0.0
n = 3
source = "Dong and Yang, 2020, Table 5"
"""


@pytest.mark.thorough
def test_quoted_rows_order_and_highlight_come_from_the_study_file(cli, tmp_path):
    (tmp_path / "file.toml").write_text(STUDY_FILE, encoding="utf-8")
    done = cli("compare", "--config", "file.toml", "--out", "s")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "s" / "report" / "main.tex").read_text(encoding="utf-8")
    assert text.startswith("% generated by: nasbench-harness compare --config study.toml\n")
    places = [text.index(part) for part in (r"\textit{mine} &", "random-search &", "DARTS (quoted) &", "optimum")]
    assert places == sorted(places)
    (tmp_path / "s2").mkdir()
    shutil.copy(tmp_path / "s" / "study.toml", tmp_path / "study.toml")
    again = cli("compare", "--config", "study.toml", "--out", "s2")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "s2" / "report" / "main.tex").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('order = ["mine"]', 'order = ["min"]', "unknown label 'min' in report.order: did you mean 'mine'?"),
        ('task = "nb201-cifar10"', 'task = "nb201-cifar100"', "unknown task 'nb201-cifar100' in quoted row DARTS"),
        ('"val_accuracy"', '"test_accuracy"', "unknown metric 'test_accuracy' in quoted row DARTS"),
    ],
)
def test_what_a_report_cannot_show_is_refused_before_anything_runs(cli, tmp_path, old, new, message):
    (tmp_path / "file.toml").write_text(STUDY_FILE.replace(old, new), encoding="utf-8")
    done = cli("compare", "--config", "file.toml", "--out", "s")
    assert (done.returncode, (tmp_path / "s").exists()) == (2, False)
    assert message in done.stderr


def test_simulated_seconds_bind_every_run(cli, tmp_path):
    arguments = ("--strategies", "random-search", "--tasks", "nb201-cifar10", "--seeds", "12")
    assert cli("compare", *arguments, "--simulated-seconds", "20000", "--out", "s").returncode == 0
    frame = open_study(tmp_path / "s").frame()
    assert (frame.simulated_s == 20_000).all()
    assert frame.evaluations.nunique() > 1
    text = (tmp_path / "s" / "report" / "report.md").read_text(encoding="utf-8")
    assert "after 20,000 simulated seconds (overrun discarded)" in text
    assert "random search, exact" not in text  # no closed form for seconds


@pytest.mark.thorough
def test_paper_means_500_seeds_and_10_000_resamples(cli, tmp_path):
    small = ("--strategies", "random-search", "--tasks", "nb201-cifar10", "--evaluations", "2", "--paper")
    assert cli("compare", *small, "--out", "s").returncode == 0
    text = (tmp_path / "s" / "report" / "notes.tex").read_text(encoding="utf-8")
    assert "N = 500 seeds" in text
    assert "10,000 resamples" in text
    assert " --paper --evaluations 2\n" in text
    assert cli("compare", *small, "--seeds", "20", "--out", "s").returncode == 0
    assert " --paper --seeds 20 --evaluations 2\n" in (tmp_path / "s" / "report" / "main.tex").read_text("utf-8")


@pytest.mark.thorough
def test_a_study_file_may_name_the_tasks_only(cli, tmp_path):
    (tmp_path / "suite.toml").write_text('tasks = ["nb201-cifar100"]\n', encoding="utf-8")
    arguments = ("--strategies", "random-search", "--seeds", "3", "--evaluations", "2", "--config", "suite.toml")
    done = cli("compare", *arguments, "--out", "s")
    assert done.returncode == 0, done.stderr
    assert "nb201-cifar100" in done.stdout
    assert "nb201-cifar10 " not in done.stdout
    other = cli("compare", *arguments, "--tasks", "nb201-cifar10", "--out", "other")
    assert "nb201-cifar10 " in other.stdout
    assert "nb201-cifar100" not in other.stdout


@pytest.mark.thorough
def test_a_trace_is_exported_added_back_and_compared(cli, tmp_path):
    two = ("--strategies", "random-search", "--tasks", "nb201-cifar10,nb201-cifar100", *SMALL[4:])
    assert cli("run", *two, "--out", "s").returncode == 0
    done = cli("export", "s", "--trace", "random-search")
    assert (done.returncode, done.stdout) == (0, "s/export/trace-random-search.csv\n"), done.stderr
    added = cli("add-trace", "s", "s/export/trace-random-search.csv", "--label", "mine")
    assert added.returncode == 0, added.stderr
    assert added.stdout == (
        "added: runs of mine on nb201-cifar10, nb201-cifar100\ncompare it: nasbench-harness report s\n"
    )
    for task in ("nb201-cifar10", "nb201-cifar100"):
        (one,), (other,) = ((tmp_path / "s" / "runs" / task).glob(f"{name}-*/*") for name in ("random", "replayed"))
        first, second = pq.read_table(one), pq.read_table(other)
        assert first.equals(second)
    assert "48 of 48 runs done: 1 strategy × 2 tasks × 12 seeds" in cli("status", "s").stdout
    assert "mine" in cli("report", "s", "--format", "csv").stdout
    assert "nothing to run; 48 runs were there already" in cli("compare", *two, "--out", "s").stdout
    copy = cli("run", "--config", "s/study.toml", "--out", "copy")
    assert "traces of s/study.toml are not in copy: add-trace mine" in copy.stderr
    again = cli("export", "s", "--trace", "mine", "--json")
    (name,) = json.loads(again.stdout)["files"]
    assert (tmp_path / name).read_bytes() == (tmp_path / "s/export/trace-random-search.csv").read_bytes()
    assert cli("export", "s", "--format", "csv", "--format", "parquet").stdout.split() == [
        "s/export/runs.csv",
        "s/export/runs.parquet",
    ]


def test_a_mistake_in_a_trace_gets_one_line_and_leaves_the_study_as_it_was(cli, tmp_path):
    assert cli("run", *SMALL, "--out", "s").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*.*")}
    rows = "".join(f"{seed},{seed}\n" for seed in range(12) for _ in range(20))
    for text, arguments, message in (
        ("seed,index\n" + rows + "12,x\n", (), "bad.csv, line 242, column index: expected a whole number"),
        ("seed,index\n" + rows, ("--task", "nb201-cifar100"), "unknown task 'nb201-cifar100' in the study"),
        ("seed,index\n" + rows.replace("3,3\n", "", 1), (), "bad.csv: on nb201-cifar10 seed 3 has 19 rows"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        done = cli("add-trace", "s", "bad.csv", "--label", "mine", *arguments)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert message in line
        assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*.*")} == before
    (tmp_path / "good.csv").write_text("seed,index,accuracy\n" + rows.replace("\n", ",1\n"))
    done = cli("add-trace", "s", "good.csv", "--label", "mine", "--task", "nb201-cifar10", "--json")
    assert done.stderr == "columns that are not read: accuracy\n"
    assert json.loads(done.stdout)["tasks"] == ["nb201-cifar10"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunsFailedError(["one failed"]), 1),
        (InvalidInputError("wrong"), 2),
        (NotADirectoryError(20, "Not a directory", "taken/x"), 2),
    ],
)
def test_runs_that_fail_end_a_command_with_1_and_mistakes_with_2(error, code):
    @click.group(cls=Group)
    def group():
        pass

    @group.command()
    def fails():
        raise error

    done = CliRunner().invoke(group, ["fails"])
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1)
    assert str(error.args[-1]) in done.stderr


def test_tables_list_names_tasks_without_a_table_too(cli):
    lines = cli("tables", "list").stdout.splitlines()
    assert "  nb201-cifar10  (CIFAR-10)" in lines
    assert lines[-2].startswith("without a table: architectures are trained on demand")
    assert lines[-1] == "  trained-animals8"


@pytest.mark.thorough
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_stopped_is_one_line_and_the_same_command_goes_on(tmp_path, sent, code, jobs):
    out = tmp_path / "s"
    command = [sys.executable, "-m", "nasbench_harness", "run", "--tasks", "nb201-cifar10", "--jobs", jobs]
    command += ["--strategies", "local-search,random-search", "--seeds", "3000", "--evaluations", "1500"]
    process = subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(out.rglob("*.parquet")):
        time.sleep(0.05)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.splitlines()[-1] == "stopped; the same command goes on from the stored results, if there are any"
    assert "Traceback" not in errors
    assert "Warning" not in errors


WANDERERS = """
import os, sys

def moves(problem, rng):
    os.chdir("/")
    while True:
        yield problem.space.sample(rng)

def leaves(problem, rng):
    yield problem.space.sample(rng)
    sys.exit(0)

def prints(problem, rng):
    print("{")
    os.system("echo {")
    while True:
        yield problem.space.sample(rng)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_strategy_may_change_the_folder_and_print(cli, tmp_path, jobs):
    (tmp_path / "my.py").write_text(WANDERERS)
    strategies = "my:moves,my:prints,random-search"
    done = cli("compare", "--strategies", strategies, *SMALL[2:], "--out", "s", "--jobs", jobs, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["command"].startswith("nasbench-harness compare")
    assert done.stderr.count("{") > 1  # both prints
    assert "36 of 36 runs done" in cli("status", "s").stdout
    assert (tmp_path / "s" / "report" / "main.tex").is_file()


def test_a_check_prints_only_json_beside_a_strategy_that_prints(cli, tmp_path):
    (tmp_path / "my.py").write_text(WANDERERS)
    done = cli("strategies", "check", "my:prints", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["strategy"] == "my:prints"
    assert done.stderr.count("{") > 1  # both prints


def test_baselines_print_only_json_beside_a_strategy_that_prints(cli, tmp_path):
    (tmp_path / "my.py").write_text(WANDERERS)
    options = ("--strategies", "my:prints", "--tasks", "nb201-cifar10", "--evaluations", "5", "--json")
    saved = cli("baseline", "save", *options, "--seeds", "100")
    assert len(json.loads(saved.stdout)["files"]) == 1, saved.stderr
    checked = cli("baseline", "check", *options[:4], "--json")
    assert [check["verdict"] for check in json.loads(checked.stdout)] == ["equivalent"], checked.stderr


@pytest.mark.parametrize("verb", ["compare", "run"])
def test_a_strategy_that_ends_the_program_is_a_failure(cli, tmp_path, verb):
    (tmp_path / "my.py").write_text(WANDERERS)
    done = cli(verb, "--strategies", "random-search,my:leaves", *SMALL[2:], "--out", "s")
    assert done.returncode == 1
    assert "failed: my:leaves on nb201-cifar10, seeds 0-11" in done.stderr
    assert "12 of 24 runs were stored in s; the rest failed" in done.stderr


def test_a_module_that_ends_the_program_when_it_is_imported_is_named(cli, tmp_path):
    (tmp_path / "leaver.py").write_text("import sys\nsys.exit(0)\n")
    done = cli("run", "--strategies", "leaver:search", *SMALL[2:], "--out", "s")
    assert done.returncode == 2
    assert "importing leaver failed with SystemExit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_task_of_a_strategy_that_fails_is_named(cli, tmp_path):
    (tmp_path / "my.py").write_text(
        "import sys\nfrom nasbench_harness import Strategy\n"
        "class Leaves(Strategy):\n    def __init__(self, problem, rng, least=2):\n"
        "        if rng.num_runs >= least:\n            sys.exit(0)\n        super().__init__(problem, rng)\n"
        "    def ask(self, idle):\n        sys.exit(0)\n    def tell(self, results): ...\n"
    )
    done = cli("run", "--strategies", "my:Leaves(least=1),random-search", *SMALL[2:], "--out", "s")
    assert done.returncode == 2
    assert "called sys.exit(0)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()
    arguments = ("--tasks", "nb201-cifar10,nb201-cifar100", "--seeds", 12, "--evaluations", 2, "--out", "s")
    done = cli("run", "--strategies", "my:Leaves,random-search", *arguments)
    assert done.returncode == 1
    for task in ("nb201-cifar10", "nb201-cifar100"):
        assert f"failed: my:Leaves on {task}, seeds 0-11" in done.stderr
    assert "24 of 48 runs were stored in s; the rest failed" in done.stderr


@pytest.mark.parametrize("name", ["nb201/cifar10", f"nb201-{'c' * 300}"])
def test_a_task_whose_name_no_folder_can_have_is_unknown(cli, name):
    done = cli("run", "--tasks", name, "--out", "s")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown task")


def test_runs_that_vanish_are_named(cli, tmp_path):
    (tmp_path / "my.py").write_text(
        "import pathlib\n"
        "def removes(problem, rng):\n"
        "    for path in pathlib.Path('s').rglob('seeds-*.parquet'):\n"
        "        path.unlink()\n"
        "    while True:\n"
        "        yield problem.space.sample(rng)\n"
    )
    done = cli("compare", "--strategies", "random-search,my:removes", *SMALL[2:], "--out", "s")
    assert done.returncode == 1
    assert "failed: random-search on nb201-cifar10: seeds 0-11 were not stored" in done.stderr
    assert not (tmp_path / "s" / "report").exists()


@pytest.mark.thorough
def test_a_full_disk_behind_standard_output_is_one_line(cli, tmp_path):
    for environment in ({"PYTHONUNBUFFERED": "1"}, {"PYTHONUNBUFFERED": ""}):
        for verb in (("compare", *SMALL, "--out", "s"), ("tables", "list", "--json"), ("--help",)):
            with open("/dev/full", "w") as full:
                command = [sys.executable, "-m", "nasbench_harness", *verb]
                done = subprocess.run(
                    command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, env={**os.environ, **environment}
                )
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].startswith(b"error: cannot write the output: No space left on device")
            assert b"Traceback" not in done.stderr
    assert "12 of 12 runs done" in cli("status", "s").stdout


@pytest.mark.thorough
def test_terminals_that_are_narrow_or_know_ascii_only_get_everything_else(cli, tmp_path):
    narrow = {"PYTHONIOENCODING": "ascii", "COLUMNS": "20"}
    done = cli("compare", *SMALL, "--out", "s", **narrow)
    assert done.returncode == 0, done.stderr
    status = cli("status", "s", **narrow)
    assert status.stdout.startswith("12 of 12 runs done")
    assert "?" in done.stdout  # for ± and –


@pytest.mark.thorough
def test_the_locale_c_and_a_backend_that_is_not_here_change_no_report(cli, small, tmp_path):
    shutil.copytree(small, tmp_path / "s")
    figure = (tmp_path / "s" / "report" / "anytime.pdf").read_bytes()
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    done = cli("report", "s", **c_locale, MPLBACKEND="nope")
    assert done.returncode == 0, done.stderr
    assert "nb201-cifar10" in done.stdout
    assert "?" in done.stdout  # for ± and –
    assert (tmp_path / "s" / "report" / "anytime.pdf").read_bytes() == figure


def test_a_backend_that_is_here_stays_that_of_the_process():
    code = (
        "import os; from nasbench_harness.report.render.pictures import load_matplotlib as load\n"
        "print(load().get_backend(), load().rcParams['backend'], os.environ['MPLBACKEND'])"
    )
    for backend, shown in (("svg", "svg svg svg"), ("nope", "agg agg nope")):
        environment = {**os.environ, "MPLBACKEND": backend, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == shown, done.stderr


@pytest.mark.thorough
def test_a_report_names_files_of_its_folder_that_are_not_its_own(cli, small, tmp_path):
    shutil.copytree(small, tmp_path / "s")
    (tmp_path / "s" / "report" / ".generated").unlink()
    (tmp_path / "s" / "report" / "mine.txt").write_text("kept")
    for damage in (None, "\0"):
        if damage is not None:
            (tmp_path / "s" / "report" / ".generated").write_text(damage)
        *_, others = cli("report", "s", "--format", "csv").stdout.splitlines()
        assert others.startswith("also in that folder, but not of this report: ")
        names = cli("report", "s", "--format", "csv", "--json").stdout
        assert {"mine.txt", "main.tex", "report.html"} <= set(json.loads(names)["others"])
    again = cli("compare", *SMALL, "--out", "s").stdout.splitlines()
    assert again[-2] == "also in that folder, but not of this report: mine.txt"


def test_very_long_names(cli, tmp_path):
    name = "x" * 256
    assert cli("compare", "--strategies", f"{name}=random-search", *SMALL[2:], "--out", "s").returncode == 0
    exported = cli("export", "s", "--trace", name)
    assert exported.returncode == 0
    assert (tmp_path / exported.stdout.strip()).is_file()
    for verb in (("status", name), ("compare", *SMALL, "--out", name), ("add-trace", "s", name, "--label", "y")):
        done = cli(*verb)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_study_file_that_promises_nothing_or_too_much(cli, tmp_path):
    assert cli("run", *SMALL, "--out", "s").returncode == 0
    path = tmp_path / "s" / "study.toml"
    for number in ("0", "10000000000"):
        path.write_text(re.sub("seeds = .*", f"seeds = {number}", path.read_text(), count=1))
        for verb in (("status", "s"), ("report", "s"), ("compare", *SMALL, "--out", "s")):
            done = cli(*verb)
            assert done.returncode == 2
            assert re.fullmatch(rf"error: \S+s/study.toml: seeds: input should be .*, not {number}\n", done.stderr)


def test_a_check_says_one_thing_about_an_architecture_that_does_not_exist(cli, tmp_path):
    code = "def beyond(problem, rng):\n    while True:\n        yield problem.space.num_architectures\n"
    (tmp_path / "my_beyond.py").write_text(code)
    done = cli("strategies", "check", "my_beyond:beyond", "--tasks", "nb201-cifar10")
    assert done.returncode == 1
    broken, message, others, total = done.stdout.splitlines()
    assert broken.startswith("BROKEN  It plays without an error")
    assert "15625" in message
    assert others == f"13 other rules not tried: fix this first: {broken.removeprefix('BROKEN  ')}"
    assert total == "my_beyond:beyond: 0 of 1 rules hold, 13 not tried"


@pytest.mark.thorough
def test_a_check_says_that_runs_end_by_themselves(cli, tmp_path):
    code = "def short(problem, rng):\n    for _ in range(6):\n        yield problem.space.sample(rng)\n"
    (tmp_path / "my_short.py").write_text(code)
    done = cli("strategies", "check", "my_short:short", "--tasks", "nb201-cifar10")
    assert done.returncode == 0
    note = "12 of 12 runs end by themselves, the first after 6 of 50 evaluations"
    assert done.stdout.splitlines()[-2] == f"note    {note}"
    found = cli("strategies", "check", "my_short:short", "--tasks", "nb201-cifar10", "--json")
    assert json.loads(found.stdout)["note"] == note


def test_a_wrong_option_before_the_verb_is_one_line(cli):
    done = cli("--nope", "compare")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("error: no such option '--nope'")


def test_commands_to_paste_quote_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my results.csv").write_text("depth,accuracy\n2,88.0\n4,90.0\n")
    done = CliRunner().invoke(main, ["tables", "init-spec", "my results.csv"])
    command = done.stdout.splitlines()[-1]
    assert shlex.split(command)[1:] == ["tables", "import", "my results.csv", "--spec", "my results.toml"]
