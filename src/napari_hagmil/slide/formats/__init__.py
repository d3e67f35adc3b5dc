"""One module, or folder, per kind of file, and what keeps a malformed one from harm."""
