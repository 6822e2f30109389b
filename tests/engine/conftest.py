"""Fixtures of the tests of the engine."""

from kit.tasks import assert_same, play, scripted, search, tiny  # noqa: F401 - fixtures
