"""Runs on disk: whole Parquet blocks that carry their identity, and resuming by looking what is there."""
