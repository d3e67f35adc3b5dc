"""Make the levels that a file lacks, write them, and cache them on disk."""
