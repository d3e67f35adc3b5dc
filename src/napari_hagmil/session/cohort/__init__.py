"""Many slides in a window: which they are, what was found on them, and who has read them."""
