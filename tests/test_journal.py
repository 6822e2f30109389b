"""Journals: they continue, and no changed bit gives another piece."""

import re
from contextlib import suppress

import pytest
from kit.files import largest_file, rewrite

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.journal import LineJournal


def test_a_changed_bit_never_gives_another_piece(tmp_path):
    path, settings, piece = tmp_path / "journal.jsonl", {"seed": 1}, {"piece": 0, "value": 0.25}
    with LineJournal(path, settings) as journal:
        journal.add(piece)
    whole = path.read_bytes()
    for position in range(len(whole) - 1):
        rewrite(path, whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with suppress(InvalidInputError), LineJournal(path, settings) as journal:
            (entry,) = journal.entries
            assert piece.items() <= entry.items()  # a checksum of another name checks nothing


def test_lines_of_an_earlier_version_have_no_checksum(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"settings":{"seed":1}}\n{"piece":0}\n', encoding="utf-8")
    with LineJournal(path, {"seed": 1}) as journal:
        assert journal.entries == [{"piece": 0}]


def test_a_full_disk_is_named_and_the_whole_pieces_stay(tmp_path):
    path = tmp_path / "journal.jsonl"
    with LineJournal(path, {"seed": 1}) as journal:
        journal.add({"piece": 0})
        message = f"^cannot write {re.escape(str(path))}: File too large$"
        with largest_file(path.stat().st_size + 9), pytest.raises(InvalidInputError, match=message):
            journal.add({"piece": 1})
    with LineJournal(path, {"seed": 1}) as journal:
        assert journal.entries == [{"piece": 0}]


@pytest.mark.parametrize("line", ["[]", "1", "null", "{"])
def test_other_json_is_damage(line, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"settings":{"seed":1}}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="is damaged: delete it"), LineJournal(path, {"seed": 1}):
        pass
