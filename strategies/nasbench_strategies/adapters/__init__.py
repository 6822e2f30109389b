"""Optimizers of other packages as strategies (extra `adapters`)."""
