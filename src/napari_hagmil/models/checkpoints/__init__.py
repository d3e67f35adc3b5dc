"""Weights that other code saved, read without running what their files contain."""
