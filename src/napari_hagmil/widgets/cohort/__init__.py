"""The cohort dock: many slides, what was found on them, and who has read them."""
