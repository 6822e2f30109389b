"""Tunes hyperparameters of strategies on development tasks, and shows the result on tasks that were held out."""
