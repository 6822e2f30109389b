"""Reports: the model of a table, its sections, and a renderer for each output format."""
