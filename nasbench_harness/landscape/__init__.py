"""The search space of a task, explained by its table: local optima, walks, noise, effects of decisions, shrinking."""
