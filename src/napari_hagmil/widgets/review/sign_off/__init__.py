"""Finishing a slide: every file of a review with one question at most."""
