"""Runs on disk: whole Parquet blocks that carry their identity, and resuming from the blocks that exist."""
