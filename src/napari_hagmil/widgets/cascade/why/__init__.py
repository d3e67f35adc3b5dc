"""The Why tab: what the cascade saw at one place, and what it missed."""
