"""One module or folder per file format, and the guards against malformed files."""
