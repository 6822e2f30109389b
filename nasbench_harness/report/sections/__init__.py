"""Parts of a report: one file for each kind of table or figure."""
