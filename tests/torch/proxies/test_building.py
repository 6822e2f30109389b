"""Tables of scores: same bytes from any division of the work, resume, provenance, and the command line."""

import json
import random
import shutil
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kit.files import largest_file

from nasbench_harness.cli import main
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.files import try_lock
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.proxies import shipped_provenance
from nasbench_harness.tables.score_files import read_scores
from nasbench_harness.trainer.proxies import build, building, plan_build, plan_columns
from nasbench_harness.trainer.proxies.catalogue import TABLE_COLUMNS

SETTINGS = {"num_cells": 1, "channels": 4, "side": 8, "batch_size": 4}
COLUMNS = ["params", "synflow", "nwot", "zen", "zen_norm"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(building, "BLOCK", 4)


def plan(columns=COLUMNS, architectures=10, **options):
    return plan_build(plan_columns(columns, "noise", overrides=SETTINGS), architectures, **options)


def run(*arguments):
    return CliRunner().invoke(main, ["proxies", *arguments])


def test_same_command_same_bytes_however_the_work_is_divided(tmp_path):
    whole, shared = tmp_path / "whole.parquet", tmp_path / "shared.parquet"
    assert build(plan(), whole, "command") == 0
    assert build(plan(), shared, "command", (2, 2)) > 0
    assert not shared.exists()
    assert build(plan(), shared, "command", (1, 2)) == 0
    assert whole.read_bytes() == shared.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_an_interrupted_build_goes_on_and_computes_nothing_twice(tmp_path, monkeypatch):
    out, whole = tmp_path / "a.parquet", tmp_path / "b.parquet"
    build(plan(), whole, "command")
    calls, interrupted, compute = [], [], building.compute

    def counting(plans, rows, *rest):
        if len(calls) == 4 and not interrupted:
            interrupted.append((plans[0].name, rows[0]))
            raise RuntimeError("interrupted")
        calls.append((plans[0].name, rows[0]))
        return compute(plans, rows, *rest)

    monkeypatch.setattr(building, "compute", counting)
    with pytest.raises(RuntimeError, match="interrupted"):
        build(plan(), out, "command")
    assert build(plan(), out, "command") == 0
    assert len(calls) == len(set(calls)) == 12  # four families, three blocks
    assert interrupted[0] in calls
    assert out.read_bytes() == whole.read_bytes()


def test_a_build_that_another_process_finished_meanwhile_is_complete(tmp_path, monkeypatch):
    out, compute, calls = tmp_path / "a.parquet", building.compute, []

    def overtaken(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            assert build(plan(), out, "command") == 0
        return compute(*arguments)

    monkeypatch.setattr(building, "compute", overtaken)
    assert build(plan(), out, "command") == 0
    assert list(tmp_path.iterdir()) == [out]


def test_shards_that_end_together_join_once(tmp_path, monkeypatch):
    out, folder = tmp_path / "a.parquet", tmp_path / "a.parquet.parts"
    build(plan(), out, "command", (1, 2))
    file = (folder / "lock").open("ab")
    assert try_lock(file)

    def other_ends(_):
        out.write_bytes(b"joined")
        shutil.rmtree(folder)
        file.close()

    monkeypatch.setattr(building, "sleep", other_ends)
    assert build(plan(), out, "command", (2, 2)) == 0
    assert out.read_bytes() == b"joined"
    assert list(tmp_path.iterdir()) == [out]


def test_parts_that_a_killed_process_left_beside_the_file_are_removed(tmp_path):
    out, folder = tmp_path / "a.parquet", tmp_path / "a.parquet.parts"
    build(plan(), out, "command", (1, 2))
    shutil.copytree(folder, tmp_path / "kept")
    build(plan(), out, "command", (2, 2))
    shutil.copytree(tmp_path / "kept", folder)
    (folder / "settings.json").write_text("others")
    build(plan(), out, "command")
    assert folder.exists()
    shutil.copy(tmp_path / "kept" / "settings.json", folder)
    build(plan(), out, "command")
    assert not folder.exists()


def test_a_full_disk_is_named(tmp_path):
    with largest_file(2_000):
        result = run("build", "--columns", "params", "--architectures", "400", "--out", str(tmp_path / "a.parquet"))
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "a.parquet: File too large" in result.output


def test_progress_counts_scores(tmp_path):
    seen = []
    build(plan(), tmp_path / "a.parquet", "command", on_scores=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (50, 50)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_provenance_names_everything_that_a_score_depends_on(tmp_path):
    out = tmp_path / "a.parquet"
    build(plan(initializations=(0, 3), batches=(1, 2)), out, "the command")
    file = read_scores(out)
    assert file.scores["nwot"].shape == (2, 2, 10)
    assert (file.initializations, file.batches) == ((0, 3), (1, 2))
    assert file.provenance["command"] == "the command"
    assert "uniform sample of 10" in file.provenance["set"]
    entry = file.provenance["columns"]["nwot"]
    assert entry["macro"]["num_cells"] == 1
    assert entry["data"].startswith("noise")
    assert entry["batch_size"] == 4
    assert entry["initialization"] == "PyTorch default"
    assert file.provenance["columns"]["zen"]["initialization"] == "N(0, 1)"
    assert file.provenance["columns"]["synflow"]["initialization"].startswith("expected")
    assert not np.array_equal(file.scores["nwot"][0, 0], file.scores["nwot"][1, 0])
    assert not np.array_equal(file.scores["nwot"][0, 0], file.scores["nwot"][0, 1])


def test_the_plan_of_the_shipped_table_has_the_shipped_provenance():
    planned, shipped = plan_build(plan_columns(TABLE_COLUMNS)).provenance(), shipped_provenance()
    assert (planned["note"], planned["columns"]) == (shipped["note"], shipped["columns"])


@pytest.mark.parametrize(
    ("name", "images", "reads"),
    [("meco", 1, True), ("swap", 16, True), ("synflow", 0, False), ("az_trainability", 64, False), ("snip", 64, True)],
)
def test_provenance_names_the_images_that_a_score_reads(name, images, reads):
    entry = plan_build(plan_columns([name], "noise", reference=True)).provenance()
    assert entry["columns"][name]["batch_size"] == images
    assert entry["columns"][name]["data"] == ("noise N(0, 1)" if reads else "none")
    assert not entry["note"]  # nothing was chosen for a setting that is not the shipped one


def test_synflow_is_missing_for_disconnected_cells_only():
    values = building.compute(plan(["synflow"]).columns, np.arange(15_625), chunk=500)[:, 0]
    assert np.isnan(values).sum() == 341
    assert np.isfinite(values).sum() == 15_625 - 341


def test_other_settings_are_refused_and_nothing_is_lost(tmp_path):
    out = tmp_path / "a.parquet"
    build(plan(), out, "command")
    before = out.read_bytes()
    assert build(plan(), out, "command") == 0
    with pytest.raises(InvalidInputError, match="other settings"):
        build(plan(["nwot"]), out, "command")
    assert out.read_bytes() == before
    build(plan(), tmp_path / "b.parquet", "command", (1, 2))
    with pytest.raises(InvalidInputError, match="other settings"):
        build(plan(["nwot"]), tmp_path / "b.parquet", "command", (1, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "--columns", "nwott"], "did you mean 'nwot'"),
        (["build", "--columns", "nwot,nwot"], "none twice"),
        (["build", "--shard", "3/2"], "--shard must be I/N"),
        (["build", "--architectures", "0"], "number of architectures"),
        (["build", "--initializations", "x"], "whole numbers"),
        (["build", "--initializations", "1,0"], "ascending"),
        (["build", "--columns", "snip", "--architectures", "2", "--side", "6"], "side of a macro"),
        (["build", "--columns", "snip", "--architectures", "2", "--data", "animal"], "did you mean 'animals'"),
        (["build", "--columns", "snip", "--architectures", "2", "--data", "animals8"], "no multiple"),
        (["build", "--columns", "nwot,meco", "--data", "animals"], "column meco: data animals have images of 32 × 32"),
        (["build", "--columns", "nowhere:mine"], "no module"),
        (["build", "--columns", ""], "at least one column"),
        (
            ["build", "--columns", "params,synflow", "--data-dir", "."],
            "none of the columns params, synflow reads images",
        ),
        (["build", "--columns", "nwot", "--data-dir", "."], "data animals need no folder"),
        (["build", "--columns", "meco", "--data-dir", "."], "data noise need no folder"),
        (["build", "--columns", "nwot", "--data", "animals8", "--data-dir", "."], "comes with a package"),
        (["build", "--columns", "params", "--data", "animal"], "did you mean 'animals'"),
        (["score", "333132", "--proxies", "az_trainability", "--data-dir", "."], "az_trainability reads images"),
        (["build", "--columns", "params", "--out", "."], ". is a folder: name a file with --out"),
        (["build", "--columns", "params", "--out", "/"], "/ is a folder: name a file with --out"),
        (["score", "333132", "--proxies", "params", "--data-dir", "."], "none of the columns flops, params reads"),
        (["score", "333132", "--proxies", "snip", "--data-dir", "."], "data animals need no folder"),
        (["score", "333132", "--proxies", ""], "--proxies names no score"),
        (["score", "333132", "--proxies", " , "], "--proxies names no score"),
        (["score", "33313"], "six digits"),
        (["score", "333132", "--num-cells", "99999999"], "num_cells of a macro must be a whole number in 1 … 100"),
        (["score", "333132", "--proxies", "nwott"], "did you mean"),
        (["info", "nwott"], "did you mean"),
    ],
)
def test_mistakes_are_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_function_of_ones_own_runs_by_the_same_verbs(tmp_path, monkeypatch):
    (tmp_path / "my_scores.py").write_text(
        "def width(network, batch):\n    return network.classifier.in_features + len(batch.images)\n"
        "def text(network, batch):\n    return 'large'\n"
        "def spoil(network, batch):\n    network.classifier.weight.data.zero_()\n    return float('inf')\n"
    )
    monkeypatch.chdir(tmp_path)
    small = ["--num-cells", "1", "--channels", "4", "--side", "8", "--batch-size", "3"]
    result = run("score", "333132", "--proxies", "my_scores:width,my_scores:spoil,l2_norm", *small, "--json")
    scores = json.loads(result.output)["scores"]
    assert scores["width"] == 16 + 3
    assert scores["spoil"] is None  # what is not finite is missing
    assert scores["l2_norm"] > 10
    assert scores["params"] > 1000
    assert scores["flops"] > 1000
    result = run("build", "--columns", "params,my_scores:width", "--architectures", "3", *small, "--out", "w.parquet")
    assert result.exit_code == 0, result.output
    assert read_scores(tmp_path / "w.parquet").scores["width"][0, 0].tolist() == [19, 19, 19]
    assert "must return a number" in run("score", "333132", "--proxies", "my_scores:text", *small).output
    assert "did you mean 'width'" in run("score", "333132", "--proxies", "my_scores:widthh", *small).output


SMALL = ["--num-cells", "1", "--channels", "4", "--side", "8", "--batch-size", "3"]


def test_a_function_that_changes_its_batch_changes_no_other_score(tmp_path, monkeypatch):
    (tmp_path / "gradient_scores.py").write_text(
        "def gradient(network, batch):\n"
        "    x = batch.images\n"
        "    x.requires_grad_(True)\n"
        "    (network(x) ** 2).sum().backward()\n"
        "    return x.grad.abs().sum()\n"
        "def spoil(network, batch):\n"
        "    batch.labels.zero_(), batch.next_images.zero_(), batch.next_labels.zero_()\n"
        "    return batch.images.mul_(2).abs().sum()\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ["gradient_scores:gradient", "gradient_scores:spoil"]
    result = run("build", "--columns", ",".join(names), "--architectures", "3", *SMALL, "--out", "g.parquet")
    assert result.exit_code == 0, result.output
    file, space = read_scores(tmp_path / "g.parquet"), NASBench201Space()
    for position, row in enumerate(file.architectures.tolist()):
        shown = run("score", space.to_string(row), "--proxies", ",".join(names), *SMALL, "--json")
        scores = json.loads(shown.output)["scores"]
        for name, values in file.scores.items():
            assert values[0, 0, position] == pytest.approx(scores[name], rel=1e-6)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_ends_a_build_which_then_goes_on(name, code, tmp_path, monkeypatch):
    (tmp_path / "ending_scores.py").write_text(
        "import os, pathlib, signal\n"
        "def ending(network, batch):\n"
        "    calls = pathlib.Path('calls')\n"
        "    calls.write_text((calls.read_text() if calls.exists() else '') + '.')\n"
        "    if len(calls.read_text()) == 6:\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "    return 1.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "ending_scores", raising=False)
    build = ["build", "--columns", "ending_scores:ending", "--architectures", "10", *SMALL, "--out", "e.parquet"]
    result = run(*build)
    assert (result.exit_code, result.output) == (
        code,
        "\nstopped; the same command goes on from the stored results, if there are any\n",
    )
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]
    assert len(list(tmp_path.glob("e.parquet.parts/*.npy"))) == 1
    assert run(*build).exit_code == 0
    assert len((tmp_path / "calls").read_text()) == 6 + 6  # four of the first six were kept, in one part
    assert not (tmp_path / "e.parquet.parts").exists()


@pytest.mark.parametrize("name", ["nwot", "batch"])
def test_a_function_has_no_name_of_another_column(name, tmp_path, monkeypatch):
    (tmp_path / "named_scores.py").write_text(f"def {name}(network, batch):\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "named_scores", raising=False)
    result = run("build", "--columns", f"named_scores:{name}", "--architectures", "2", *SMALL, "--out", "b.parquet")
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert f"another column {name}: rename the function" in result.output


DRAWS = """
import random, numpy, torch
SHIFT = random.random() + numpy.random.random() + float(torch.rand(()))

def drawn(network, batch):
    return SHIFT + random.random() + numpy.random.random() + float(torch.rand(()))
"""


def _states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_a_function_that_draws_from_global_generators_gives_the_same_bytes(tmp_path, monkeypatch):
    """With one and two shards, after an interruption, and whatever drew before; the generators stay as they are."""
    (tmp_path / "drawing_scores.py").write_text(DRAWS)
    monkeypatch.chdir(tmp_path)

    def build_again(name, *options):
        monkeypatch.delitem(sys.modules, "drawing_scores", raising=False)  # as in another process
        random.random(), np.random.random(), torch.rand(())  # noqa: NPY002
        before = _states()
        columns = ["--columns", "drawing_scores:drawn", "--architectures", "10", "--initializations", "0,1"]
        result = run("build", *columns, "--batches", "0,1", *SMALL, "--out", name, *options)
        assert result.exit_code == 0, result.output
        assert _states() == before
        return (tmp_path / name).exists() and (tmp_path / name).read_bytes()

    whole = build_again("a.parquet")
    assert not build_again("b.parquet", "--shard", "2/2")
    assert build_again("b.parquet", "--shard", "1/2") == whole
    for part in (1, 3):
        assert not build_again("c.parquet", "--shard", f"{part}/7")
    assert build_again("c.parquet") == whole
    scores = read_scores(tmp_path / "a.parquet").scores["drawn"]
    assert len(np.unique(scores)) == scores.size == 40
    small = [*SMALL, "--initialization", "1", "--batch", "0", "--json"]
    architecture = NASBench201Space().to_string(int(read_scores(tmp_path / "a.parquet").architectures[7]))
    shown = run("score", architecture, "--proxies", "drawing_scores:drawn", *small)
    assert json.loads(shown.output)["scores"]["drawn"] == pytest.approx(scores[1, 0, 7], rel=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no')", "proxy bad_scores:bad raised RuntimeError: no, at bad_scores.py:2"),
        ("raise SystemExit(0)", "proxy bad_scores:bad raised SystemExit: 0, at bad_scores.py:2"),
        ("return 10**400", "proxy bad_scores:bad must return a number"),
        ("raise type('Odd', (BaseException,), {})('no')", "proxy bad_scores:bad raised Odd: no, at bad_scores.py:2"),
        (
            "raise type('Odd', (Exception,), {'__str__': lambda _: 1 / 0})()",
            "raised Odd: [its text raised Zero",
        ),
        ("raise type('Odd', (Exception,), {'__str__': lambda _: 5})()", "raised Odd: [its text raised TypeError]"),
        (
            "return type('Odd', (), {'__float__': lambda _: 1 / 0})()",
            "bad_scores:bad must return a number, got Odd",
        ),
        ("raise MemoryError", "proxy bad_scores:bad raised MemoryError"),
        ("return (", "proxy bad_scores:bad: bad_scores raised SyntaxError"),
    ],
)
def test_a_function_that_fails_is_one_line(body, message, tmp_path, monkeypatch):
    (tmp_path / "bad_scores.py").write_text(f"def bad(network, batch):\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_scores", raising=False)
    for verb in (
        ["score", "333132", "--proxies"],
        ["build", "--architectures", "2", "--out", "b.parquet", "--columns"],
    ):
        result = run(*verb, "bad_scores:bad", *SMALL)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert message in result.output


def test_a_function_that_failed_at_once_may_be_mended(tmp_path, monkeypatch):
    """The same command goes on, as no part was computed."""
    monkeypatch.chdir(tmp_path)
    for number, code in ((1 / 2, 0), ("1 / 0", 2), ("3.0", 0)):
        (tmp_path / "mended_scores.py").write_text(f"def mended(network, batch):\n    return {number}\n")
        monkeypatch.delitem(sys.modules, "mended_scores", raising=False)
        name = f"{'a' if number == 1 / 2 else 'b'}.parquet"
        result = run("build", "--columns", "mended_scores:mended", "--architectures", "2", *SMALL, "--out", name)
        assert result.exit_code == code, result.output
    assert read_scores(tmp_path / "b.parquet").scores["mended"].tolist() == [[[3, 3]]]


def test_a_failed_function_beside_a_score_may_be_mended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code, number in ((2, "1 / 0"), (0, "3.0")):
        (tmp_path / "beside_scores.py").write_text(f"def beside(network, batch):\n    return {number}\n")
        monkeypatch.delitem(sys.modules, "beside_scores", raising=False)
        result = run("build", "--columns", "params,beside_scores:beside", "--architectures", "2", *SMALL)
        assert result.exit_code == code, result.output
    assert read_scores(tmp_path / "proxies.parquet").scores["beside"].tolist() == [[[3, 3]]]


def test_a_folder_of_other_files_is_refused_and_stays(tmp_path):
    mine = tmp_path / "a.parquet.parts" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("precious")
    with pytest.raises(InvalidInputError, match=r"a\.parquet\.parts holds mine\.txt, which is no part"):
        build(plan(["params"]), tmp_path / "a.parquet", "command")
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_hidden_files_and_letters_of_any_language_stop_no_build(tmp_path):
    parts = tmp_path / "a.parquet.parts"
    parts.mkdir()
    for name in (".DS_Store", "é-0-0-00000.npy"):  # a file of the system; a part of the score é
        (parts / name).write_bytes(b"")
    with pytest.raises(InvalidInputError, match="holds parts of other settings"):
        build(plan(["params"]), tmp_path / "a.parquet", "command")
    (parts / "é-0-0-00000.npy").unlink()
    build(plan(["params"]), tmp_path / "a.parquet", "command")
    assert [path.name for path in parts.iterdir()] == [".DS_Store"]


def test_a_file_that_came_meanwhile_stays(tmp_path):
    out, mine = tmp_path / "a.parquet", tmp_path / "a.parquet.parts" / "mine.txt"

    def comes(done, total):
        if done == total:
            mine.write_text("precious")

    build(plan(["params"]), out, "command", on_scores=comes)
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
    assert out.exists()


def test_a_build_takes_no_folder_that_another_one_took_meanwhile(tmp_path, monkeypatch):
    compute = building.compute

    def taken(*arguments):
        values = compute(*arguments)
        (tmp_path / "a.parquet.parts" / "settings.json").write_text("others")
        (tmp_path / "a.parquet.parts" / "other-0-0-00000.npy").write_bytes(b"")
        return values

    monkeypatch.setattr(building, "compute", taken)
    with pytest.raises(InvalidInputError, match="holds parts of other settings"):
        build(plan(["params"]), tmp_path / "a.parquet", "command")
    assert len(list((tmp_path / "a.parquet.parts").glob("*.npy"))) == 1


def test_a_function_changes_no_other_score_and_prints_beside_the_json(tmp_path, monkeypatch):
    (tmp_path / "changing_scores.py").write_text(
        "import torch\n"
        "def changing(network, batch):\n"
        "    print('hello')\n"
        "    torch.set_default_dtype(torch.float64)\n"
        "    torch.set_grad_enabled(False)\n"
        "    return 1\n"
    )
    monkeypatch.chdir(tmp_path)
    shown = run("score", "333132", "--proxies", "changing_scores:changing,snip", *SMALL, "--json")
    scores = json.loads(shown.stdout)["scores"]
    alone = json.loads(run("score", "333132", "--proxies", "snip", *SMALL, "--json").stdout)["scores"]
    assert scores == {**alone, "changing": 1.0}
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_scores_of_two_versions_of_a_function_are_never_mixed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build = ["build", "--columns", "own_scores:own", "--architectures", "2", "--initializations", "0,1", *SMALL]
    for value in (1, 2):
        (tmp_path / "own_scores.py").write_text(f"def own(network, batch):\n    return {value}\n")
        monkeypatch.delitem(sys.modules, "own_scores", raising=False)
        result = run(*build, "--out", "v.parquet", *(["--shard", "1/2"] if value == 1 else []))
    assert result.exit_code == 2
    assert "holds parts of other settings" in result.output


def test_a_damaged_part_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build = ["build", "--columns", "params,flops", "--architectures", "2", "--out", "v.parquet"]
    assert run(*build, "--shard", "1/2").exit_code == 0
    (part,) = (tmp_path / "v.parquet.parts").glob("*.npy")
    part.write_bytes(b"")
    result = run(*build)
    assert result.exit_code == 2
    assert f"{part.name} is damaged: delete it" in result.output
    part.unlink()
    assert run(*build).exit_code == 0


def test_score_gives_the_same_as_the_function():
    small = ["--num-cells", "1", "--channels", "4", "--side", "8", "--batch-size", "4", "--data", "noise"]
    scores = json.loads(run("score", "333132", "--proxies", "nwot,zen", *small, "--json").output)["scores"]
    columns = plan_columns(["nwot"], "noise", True, SETTINGS)
    index = NASBench201Space().from_key("333132")
    assert scores["nwot"] == building.compute(columns, np.array([index]))[0, 0]
