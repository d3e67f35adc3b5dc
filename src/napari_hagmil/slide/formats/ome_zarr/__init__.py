"""OME-Zarr slides: metadata, chunks, and their guard."""
