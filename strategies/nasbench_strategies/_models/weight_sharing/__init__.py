"""The parts that weight-sharing methods have in common."""
