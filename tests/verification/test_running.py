import json
import math
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from kit.files import largest_file, rewrite

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.verification.design import make_design
from nasbench_harness.verification.journal import Journal, TrainingRecord
from nasbench_harness.verification.report import caption
from nasbench_harness.verification.running import note_judged, train_design
from nasbench_harness.verification.verdict import judge
from nasbench_harness.verification.verify import Preparation, VerifyOptions


@pytest.fixture
def design(task, finals):
    return make_design(task, finals, lambda _: 0.0, 0, top=5, kind="matched", num_controls=3, training_seeds=2)


def judged(design, task, progressed):
    return judge(design, task, "stand-in", "the table itself", progressed.entries, len, is_own_recipe=False)


def test_everything_is_trained_once_and_found_again(design, task, make_trainer, tmp_path):
    trainer, path = make_trainer(), tmp_path / "v" / "journal.jsonl"
    first = train_design(design, task, trainer, path, 0)
    assert (first.num_trained, first.num_found) == (40, 0)
    assert len(set(trainer.trained)) == 40
    again = train_design(design, task, make_trainer(), path, 0)
    assert (again.num_trained, again.num_found) == (0, 40)
    assert again.entries == first.entries


def test_notices_of_the_trainer_reach_the_user(design, task, make_trainer, tmp_path):
    """Also where a later command only finds the trainings, and in the report."""
    trainer, path = make_trainer(notice="trained 1 at a time"), tmp_path / "journal.jsonl"
    assert train_design(design, task, trainer, path, 0).notices == ("trained 1 at a time",)
    path.write_text(path.read_text(encoding="utf-8") + '{"truncated', encoding="utf-8")
    again = train_design(design, task, make_trainer(), path, 0)
    truncated, told = again.notices
    assert "incomplete" in truncated
    assert told == "trained 1 at a time"
    assert "Memory was too small for the stacks of 40 trainings" in caption(judged(design, task, again), task)


@pytest.mark.parametrize("stop_after", [0, 1, 7, 20, 39])
def test_a_stopped_verification_goes_on_and_ends_with_the_same_verdict(
    design, task, make_trainer, tmp_path, stop_after
):
    whole = judged(design, task, train_design(design, task, make_trainer(), tmp_path / "whole", 0))
    path, stopped = tmp_path / "parts", make_trainer(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        train_design(design, task, stopped, path, 0)
    rest = make_trainer()
    progressed = train_design(design, task, rest, path, 0)
    assert len(stopped.trained) + len(rest.trained) == 40  # nothing twice
    outcome = judged(design, task, progressed)
    assert outcome.sentence == whole.sentence
    assert outcome.test == whole.test


def test_a_torn_last_line_is_dropped_with_a_notice(design, task, make_trainer, tmp_path):
    path = tmp_path / "journal"
    train_design(design, task, make_trainer(), path, 0)
    text = path.read_text()
    path.write_text(text[:-30])
    progressed = train_design(design, task, make_trainer(), path, 0)
    assert (progressed.num_trained, progressed.num_found) == (1, 39)
    assert "the last line is incomplete and is dropped" in progressed.notices[0]
    assert sorted(path.read_text().splitlines()) == sorted(text.splitlines())


@pytest.mark.thorough
def test_announcing_leaves_an_incomplete_line_for_the_run_to_tell(design, task, make_trainer, tmp_path):
    """The command announces first: the notice must reach the user all the same."""
    options = VerifyOptions()

    def prepared():
        return Preparation(task, design, make_trainer(), options, StudyFolder(tmp_path), 0, "command")

    prepared().run()
    path = tmp_path / "verification" / task.name / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:]) + '{"half', encoding="utf-8")
    again = prepared()
    assert again.announce().startswith("1 trainings of 1 architectures")
    done = again.run()
    assert done.progressed.num_trained == 1
    assert "the last line is incomplete and is dropped" in done.progressed.notices[0]
    assert prepared().run().progressed.notices == ()


def test_designs_that_were_judged_before_are_counted(design, task, finals, make_trainer, tmp_path):
    """Looking after each block confirms random candidates in 9 % of cases: the caption divides alpha."""

    def verified(other=design, **options):
        prepared = Preparation(
            task, other, make_trainer(), VerifyOptions(**options), StudyFolder(tmp_path), 0, "command"
        )
        done = prepared.run()
        return done.outcome, (done.folder / "verification.md").read_text(encoding="utf-8")

    first, text = verified()
    assert first.num_judged == 1
    assert "alpha divided" not in text
    other = make_design(task, finals, lambda _: 0.0, 1, top=5, kind="matched", num_controls=3, training_seeds=2)
    second, told = verified(other)
    assert second.num_judged == 2
    assert "1 other design of this study and task had been judged before" in told
    assert "alpha divided by their number is 0.05 / 2 = 0.0250; at this level the verdict is confirmed" in told
    assert "which does not bound the chance over all designs" in told
    third, told = verified(replace(design, training_seeds=1))
    assert (third.num_judged, third.shared_alpha) == (3, 0.05 / 3)
    assert "2 other designs" in told
    again, told = verified()
    assert (again.num_judged, told) == (1, text)  # the same design is the first again


def test_each_look_after_another_block_is_a_design(design, task, make_trainer, tmp_path):
    path, trainer = tmp_path / "j", make_trainer()
    numbers = [note_judged(design, range(count), task, trainer, path, 0) for count in (1, 2, 3, 3, 1)]
    assert numbers == [1, 2, 3, 3, 1]


ENTRY = TrainingRecord("key", "a", 1, 80.0, (80.0,), False, 1.0)


def test_an_almost_full_disk_loses_no_line_before_it(tmp_path):
    """It takes the first bytes of a line without an error."""
    path = tmp_path / "j"
    others = [replace(ENTRY, key=key) for key in ("another", "a third")]
    with Journal.opened(path) as journal:
        journal.append([ENTRY])
        with largest_file(path.stat().st_size + 60), pytest.raises(InvalidInputError, match="cannot write"):
            journal.append(others[:1])
        assert path.stat().st_size > len(json.dumps(asdict(ENTRY)))
        journal.append(others[1:])
    again = Journal(path)
    assert (list(again.entries), again.notice) == (["key", "a third"], "")


def test_a_journal_belongs_to_one_process_at_a_time(tmp_path):
    with Journal.opened(tmp_path / "v" / "j") as journal:
        journal.append([ENTRY])
        with (
            pytest.raises(InvalidInputError, match=r"another process verifies in .*/v: wait until it has ended"),
            Journal.opened(tmp_path / "v" / "j"),
        ):
            pass
    with Journal.opened(tmp_path / "v" / "j") as journal:
        assert journal.entries == {"key": ENTRY}
        journal.append([replace(ENTRY, accuracy=81.0)])
    again = Journal(tmp_path / "v" / "j")
    assert again.entries == {"key": ENTRY}  # of equal keys the first stands
    assert "line 2 has another accuracy of a training: the first stands" in again.notice


def test_reading_changes_nothing_and_appending_needs_opening(tmp_path):
    path = tmp_path / "j"
    path.write_text('{"truncated', encoding="utf-8")
    journal = Journal(path)
    assert "incomplete" in journal.notice
    assert path.read_text(encoding="utf-8") == '{"truncated'
    with pytest.raises(InvalidInputError, match="was read only"):
        journal.append([ENTRY])


def test_finished_trainings_are_on_disk_before_the_next(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "j").read_bytes().count(b"\n")))
    with Journal.opened(tmp_path / "j") as journal:
        journal.append([ENTRY])
        journal.append([ENTRY, ENTRY])
    assert synced == [1, 3]


@pytest.mark.parametrize("blocked", ["a file for the folder", "a folder for the file"])
def test_a_journal_that_cannot_be_written_is_refused_before_training(design, task, make_trainer, tmp_path, blocked):
    path = tmp_path / "v" / "j"
    if blocked == "a file for the folder":
        path.parent.touch()
    else:
        path.mkdir(parents=True)
    trainer = make_trainer()
    with pytest.raises(InvalidInputError, match="cannot write"):
        train_design(design, task, trainer, path, 0)
    assert not trainer.trained


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": None},
        {"accuracy": "80"},
        {"accuracy": math.nan},
        {"accuracy": 400.5},
        {"curve": [-1.0]},
        {"key": ["a"]},
        {"curve": "abc"},
        {"more": 1},
    ],
)
def test_a_line_of_other_types_is_named(tmp_path, changes):
    path = tmp_path / "j"
    line = json.dumps({**asdict(ENTRY), **changes})
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"line 1 is damaged \("):
        Journal(path)


def test_a_damaged_line_is_named(design, task, make_trainer, tmp_path):
    path = tmp_path / "journal"
    train_design(design, task, make_trainer(), path, 0)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{]", *lines[2:]]) + "\n")
    with pytest.raises(InvalidInputError, match="line 2 is damaged"):
        Journal(path)


def test_a_changed_bit_of_a_line_never_gives_another_training(tmp_path):
    path = tmp_path / "j"
    with Journal.opened(path) as journal:
        journal.append([ENTRY])
    whole = path.read_bytes()
    for position in range(len(whole) - 1):
        rewrite(path, whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with suppress(InvalidInputError):
            assert Journal(path).entries in ({ENTRY.key: ENTRY}, {})  # {}: a new line end, so nothing is whole


def test_time_stops_between_blocks_and_only_whole_blocks_are_tested(design, task, make_trainer, tmp_path):
    trainer = make_trainer()
    progressed = train_design(design, task, trainer, tmp_path / "j", 0, max_seconds=0.0)
    assert (progressed.was_stopped, progressed.num_trained) == (True, 0)
    outcome = judged(design, task, progressed)
    assert outcome.test is None
    assert outcome.verdict == "inconclusive"
    entries = {architecture: [] for block in design.blocks for architecture in block}
    whole = train_design(design, task, make_trainer(), tmp_path / "w", 0).entries
    for architecture in design.blocks[0] + design.blocks[1][:2]:
        entries[architecture] = whole[architecture]
    outcome = judge(design, task, "r", "d", entries, len, is_own_recipe=False)
    assert outcome.num_blocks == 1
    assert len(outcome.trained) == 4
    assert outcome.sentence == (
        "inconclusive: trained from scratch on d with the recipe r, too few blocks are complete for a verdict on the "
        "candidates against architectures of the same size; 1 candidate against 3 controls, one-sided each way at 0.05"
    )


def test_what_is_to_come_is_announced_with_a_measured_estimate(design, task, make_trainer, tmp_path):
    options = VerifyOptions()
    prepared = Preparation(task, design, make_trainer(), options, StudyFolder(tmp_path), 0, "command")
    assert prepared.announce() == (
        "40 trainings of 20 architectures, about 80 s of computing, weighted by operations; "
        "about 40 s with 2 processes on cpu"
    )
    prepared.run()
    assert prepared.announce() == "nothing to train"


def test_the_named_command_carries_what_decides_the_result():
    assert VerifyOptions().flags() == ""
    assert VerifyOptions(device="cpu", jobs=1, max_seconds=5.0).flags() == ""
    quick = VerifyOptions().quick()
    assert quick.flags() == " --top 3 --training-seeds 1"
    assert VerifyOptions(deterministic=True, timings=True).flags() == " --deterministic --timings"
    faithful = VerifyOptions(recipe="nb201-200", data_dir=Path("x"), split=Path("y"))
    assert faithful.flags() == " --recipe nb201-200 --data-dir DATA --split FILE"
