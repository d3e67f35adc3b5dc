"""TIFF slides: layout of the pages, tags, rows of strips, channels, and their guard."""
