"""A protocol: every method of it, trained and tested on the same splits, and the tables."""
