"""Verification: what a search found in a table is trained for real, beside controls, and judged by an exact test."""
