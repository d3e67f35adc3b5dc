"""What each colour on the slide means: one meaning a colour, told apart with any colour vision.

Chosen so that any two differ by a CIEDE2000 of at least 11, and each from pink, violet and brown
tissue by at least 9, to normal eyes and to those without red or green cones. Colours of the
classes are the user's, and those of the attention its map's.
"""

from __future__ import annotations

#: Followed by the cascade, or to be followed because the user says so.
FOLLOWED = "#00e5ff"
#: A branch ends here; a thin shade, for there are many.
CUT = "#00000073"
#: A region of high attention without a decision, and those with one.
OPEN, ACCEPTED, REJECTED = "#ff5c1a", "#1e90ff", "#5b6470"
#: A place that the next run leaves out, and its faint filling.
LEFT_OUT, LEFT_OUT_FACE = "#6200ea", "#6200ea33"
#: Looked at by the last run only, and by the one before it only.
GAINED, LOST = "#ffffff", "#663300"
#: The outline of the tissue.
TISSUE = "#009e73"
#: Crosses where the file could not be read.
UNREAD = "#00ffa0"

#: For the test and the page: everything that has a meaning, by its name in the page.
MEANINGS = {
    "followed": FOLLOWED,
    "cut": CUT,
    "region to decide": OPEN,
    "accepted": ACCEPTED,
    "rejected": REJECTED,
    "left out": LEFT_OUT,
    "newly looked at": GAINED,
    "no longer looked at": LOST,
    "tissue": TISSUE,
    "unread": UNREAD,
}
