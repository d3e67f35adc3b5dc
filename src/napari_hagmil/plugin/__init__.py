"""The plugin's napari contributions: layers, readers, sample data; no Qt, no torch."""
