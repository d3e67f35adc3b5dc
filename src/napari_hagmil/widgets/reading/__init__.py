"""The slide as it is read: what lies on it, what stands in its corners, and the room it has."""
