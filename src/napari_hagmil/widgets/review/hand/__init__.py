"""The tools of the hand that napari has not: arrow, brush, eraser and wand."""
