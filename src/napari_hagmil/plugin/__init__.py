"""What napari asks of the plugin: layers, readers, sample data; no Qt, no torch."""
