"""Fair evaluation: protocol, tasks, noise, budgets, and the split between values for search and for scoring."""
