"""The training loop: devices, states, processes and the names of results."""
