"""The tab *Why*: what the cascade saw under the pointer, and what it missed."""
