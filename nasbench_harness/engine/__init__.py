"""The engine: random streams, the contract of strategies, and the loop that advances runs in lockstep."""
