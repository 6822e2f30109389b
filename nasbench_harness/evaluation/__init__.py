"""Fair evaluation: protocol, tasks, noise, budgets, and the split between what search and scoring see."""
