"""Encoders by what makes them: one module per family of networks, and of files of one's own."""
