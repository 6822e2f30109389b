"""Fixtures of the tests of importers."""

from kit.tables import cache, nb201  # noqa: F401 - fixtures
