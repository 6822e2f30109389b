"""Docstrings in plain English: nouns instead of "what …", conditions with if or when, sentences that end."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 25  # words of a sentence
WORD = re.compile(r"[A-Za-z’'-]+")


def docstrings():
    """Every docstring of the packages, without its examples."""
    for folder in ("nasbench_harness", "strategies"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (ast.get_docstring(node) or "").splitlines()
                    yield "\n".join(line for line in lines if not line.strip().startswith((">>>", "...")))


TEXTS = list(docstrings())
NUM_WORDS = sum(len(WORD.findall(text)) for text in TEXTS)


def per_thousand(pattern):
    return sum(len(re.findall(pattern, text, re.IGNORECASE)) for text in TEXTS) / NUM_WORDS * 1_000


def test_conditions_are_stated_with_if_or_when():
    assert NUM_WORDS > 30_000
    assert per_thousand(r"\bwhere\b") <= 2
    assert per_thousand(r"\b(if|when)\b") >= 3


def test_nouns_stand_in_place_of_what():
    assert per_thousand(r"\bwhat\b") <= 2


def test_sentences_are_short():
    sentences = [part for text in TEXTS for part in re.split(r"(?<=[.;:!?])\s+|\n\s*\n", text)]
    is_long = [len(WORD.findall(sentence)) > LONGEST for sentence in sentences]
    assert sum(is_long) / len(sentences) <= 0.01
