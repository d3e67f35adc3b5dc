"""The Slide tab: the open slide, the view and the tissue."""
