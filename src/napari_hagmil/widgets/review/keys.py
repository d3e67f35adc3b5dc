"""Keys of the review; none may be in another table too."""

from __future__ import annotations

from collections.abc import Mapping

from napari_hagmil.widgets.keys import KeyAction

REVIEW_KEYS: Mapping[str, KeyAction] = {
    "next": KeyAction("N", "Go to the next region", "Review"),
    "previous": KeyAction("Shift-N", "Go to the previous region", "Review"),
    "accept": KeyAction("K", "Keep: accept the region, go on", "Review"),
    "reject": KeyAction("J", "Reject the region, go on", "Review"),
    "put_back": KeyAction("Shift-J", "Put the region back: no decision", "Review"),
    "accept_patch": KeyAction("Alt-K", "Keep the patch under the pointer alone", "Review"),
    "reject_patch": KeyAction("Alt-J", "Reject the patch under the pointer alone", "Review"),
    "switch_view": KeyAction("Alt-9", "Show the region in detail, or in its context", "Review"),
    "centre": KeyAction("Shift-K", "Centre the region", "Review"),
    "comment": KeyAction("Shift-C", "Comment on the region", "Review"),
    "merge": KeyAction("Shift-M", "Merge marked regions, or with the nearest", "Edit"),
    "split": KeyAction("Shift-S", "Split the region along a line", "Edit"),
    "redraw": KeyAction("Shift-R", "Redraw the region", "Edit"),
    "remove": KeyAction("Shift-D", "Remove the region", "Edit"),
    "undo": KeyAction("Control-Z", "Undo", "Edit"),
    "redo": KeyAction("Control-Shift-Z", "Redo", "Edit"),
    "polygon": KeyAction("Shift-O", "Draw a polygon", "Draw"),
    "freehand": KeyAction("Shift-F", "Draw freehand", "Draw"),
    "rectangle": KeyAction("Shift-B", "Draw a rectangle (box)", "Draw"),
    "point": KeyAction("Shift-X", "Set points", "Draw"),
    "ruler": KeyAction("Shift-E", "Measure with a ruler", "Draw"),
    "ellipse": KeyAction("Alt-C", "Draw an ellipse (circle)", "Draw"),
    "polyline": KeyAction("Alt-I", "Draw a line of places", "Draw"),
    "select": KeyAction("Alt-S", "Arrow: pick, move, reshape", "Draw"),
    "brush": KeyAction("Alt-B", "Paint with the brush; Alt erases", "Draw"),
    "eraser": KeyAction("Alt-E", "Erase; Alt paints", "Draw"),
    "wand": KeyAction("Alt-M", "Magic wand: what looks alike", "Draw"),
    "unite": KeyAction("Alt-Shift-A", "Unite the picked areas (add)", "Picked"),
    "subtract": KeyAction("Alt-Shift-S", "Subtract from the first", "Picked"),
    "intersect": KeyAction("Alt-Shift-I", "Keep what the areas share", "Picked"),
    "fill_holes": KeyAction("Alt-Shift-F", "Fill holes", "Picked"),
    "nest": KeyAction("Alt-Shift-N", "Nest it in the area around", "Picked"),
    "duplicate": KeyAction("Alt-Shift-C", "Duplicate (copy)", "Picked"),
    "lock": KeyAction("Alt-Shift-L", "Lock, or unlock", "Picked"),
    "look": KeyAction("H", "Show everything, outlines only, or the bare slide", "View"),
    "overview": KeyAction("Alt-O", "Hide or show the overview", "View"),
    "side_by_side": KeyAction("Shift-Y", "Slide and overlays side by side", "View"),
    "fold": KeyAction("Alt-N", "Show or fold the lists and the status bar of napari", "View"),
    "labels": KeyAction("Alt-D", "Hide or show the labels of outlines", "View"),
    "cheat_sheet": KeyAction("F1", "Show or hide these keys", "View"),
}

#: Classes by number, in the order of the list: Control-1 is the first, Control-0 none.
CLASS_KEYS: Mapping[int, KeyAction] = {
    number: KeyAction(f"Control-{number}", f"Class {number}, none for 0", "Class")
    for number in range(10)
}
