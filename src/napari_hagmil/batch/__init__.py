"""Batch runs over many slides: a folder is the queue, and any number of processes may share it."""
