"""Outlines by the thousand: the lines of those that are in view."""
