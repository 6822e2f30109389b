"""Strategies that train one supernet and derive a cell from its shared weights."""
