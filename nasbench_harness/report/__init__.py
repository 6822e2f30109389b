"""Reports: the only place that joins stored runs with statistics."""
