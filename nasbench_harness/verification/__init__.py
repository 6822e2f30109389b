"""Verification: the choices of a search are trained beside controls, and judged by an exact test."""
