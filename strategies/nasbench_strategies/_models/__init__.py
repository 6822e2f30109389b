"""Learners and rankings that several strategies share."""
