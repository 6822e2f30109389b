"""From stored runs to numbers: curves, comparisons, numbers across tasks, spending. Reports print them."""
