"""``export``: what an analysis found, as files of other programs."""
