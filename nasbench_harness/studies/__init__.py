"""Studies: requests, plans, execution, stored runs and exports."""
