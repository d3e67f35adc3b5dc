"""The tab *Steer*: branches to follow and places to leave out."""
