"""Runs of the cascade in a window: what is made ready, what a run costs, what it found."""
