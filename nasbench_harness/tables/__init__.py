"""Tables: precomputed results of every architecture of a space, converted once and memory-mapped."""
