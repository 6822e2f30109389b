"""Local search: walks through neighbors."""
