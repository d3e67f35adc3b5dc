"""The patches of the current region: on the slide, in a strip, and where the view goes."""
