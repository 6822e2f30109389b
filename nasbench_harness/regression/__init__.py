"""Regression tests of strategies: baselines of accepted runs, and what a changed strategy does to them."""
