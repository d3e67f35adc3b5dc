"""Levels that a file lacks: made, written, and kept on disk."""
