"""Strategies that train many architectures briefly and few for long."""
