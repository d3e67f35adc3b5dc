"""Protocols: train and test several methods on the same splits, and tabulate them."""
