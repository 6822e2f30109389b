"""Output formats: each one renders the same tables and figures."""
