"""Networks of a stack of seeds, and the structures that they are built from."""
