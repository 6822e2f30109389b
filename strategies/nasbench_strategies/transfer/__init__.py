"""Strategies that read results of other tasks."""
