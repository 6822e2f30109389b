"""Strategies that learn a model of the losses and search on it."""
