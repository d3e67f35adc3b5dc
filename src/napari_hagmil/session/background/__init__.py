"""Work beside the runs: imports, and how any of it is told."""
