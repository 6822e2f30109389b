"""New hardware: measured latencies of a table's networks, and predictions for devices that were measured little."""
