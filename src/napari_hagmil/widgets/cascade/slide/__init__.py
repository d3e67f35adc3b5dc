"""The tab *Slide*: the open slide, the view of it and its tissue."""
