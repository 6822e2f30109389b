"""Reading the official archives of NAS-Bench-201 and NATS-Bench, without their packages and without torch."""
