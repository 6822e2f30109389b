"""Reinforcement learning: a policy that proposes, moved by its rewards."""
