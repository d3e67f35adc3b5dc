"""What docks tell whichever tab is in front: work under way, messages, what must be known first."""
