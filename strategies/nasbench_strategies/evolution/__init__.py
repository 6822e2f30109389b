"""Evolution of a population."""
