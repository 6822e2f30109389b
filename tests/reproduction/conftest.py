"""Fixtures of published numbers."""

from kit.tables import cache  # noqa: F401 - a fixture
