"""Outlines by the thousand on the canvas."""
