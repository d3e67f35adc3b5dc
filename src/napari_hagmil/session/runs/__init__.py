"""Runs of the cascade in a window: preparation, cost, findings, and results kept on disk."""
