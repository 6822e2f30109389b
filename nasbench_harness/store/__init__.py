"""Runs on disk: whole Parquet segments that carry their identity, and resuming from the segments that exist."""
