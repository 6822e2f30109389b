"""Regression tests of strategies: baselines of accepted runs, and checks of changed strategies against them."""
