"""Fixtures and helpers that several folders of tests share; a conftest imports those that its tests use."""
