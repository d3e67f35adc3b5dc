"""The docks: the only place that knows Qt."""
