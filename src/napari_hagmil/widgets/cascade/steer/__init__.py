"""The Steer tab: branches to follow, places to leave out, a second look."""
