"""Ascent on the parameters of a distribution over architectures, with the table as reward."""
