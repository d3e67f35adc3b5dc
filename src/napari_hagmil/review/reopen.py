"""Opening the review of a slide: as it was left, or new."""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.errors import JournalError, ReviewHeldError
from napari_hagmil.review.classes import QUPATH_CLASSES, PathClass
from napari_hagmil.review.history import History
from napari_hagmil.review.journal import Journal
from napari_hagmil.review.journal_files import shelf_of
from napari_hagmil.review.replay import read_journal, set_aside
from napari_hagmil.review.sitting import Sitting
from napari_hagmil.review.state import Annotation, ReviewState


def open_sitting(
    slide: Path,
    fingerprint: str,
    *,
    user_folder: Path | None = None,
    beside_slide: bool = True,
    classes: tuple[PathClass, ...] = QUPATH_CLASSES,
) -> Sitting:
    """Go on with the review of a slide where it was left, undo included; or begin one.

    Parameters
    ----------
    slide : Path
        The slide's file or folder.
    fingerprint : str
        Of its content.
    user_folder : Path, optional
        Where journals go when the slide's folder cannot be written.
    beside_slide : bool
        Whether they go beside the slide, where that can be written.
    classes : tuple of PathClass
        What a review that begins has on offer.
    """
    try:
        shelf = shelf_of(slide, fingerprint, user_folder=user_folder, beside_slide=beside_slide)
    except OSError as error:
        sitting = Sitting(History(ReviewState(classes=classes)))
        sitting.trouble = f"the review cannot be saved ({error}); export it before you close"
        return sitting
    history, sketch, notes = History(ReviewState(classes=classes)), None, []
    if shelf.found is not None:
        history, sketch, damaged = read_journal(shelf.found)
        if damaged:
            notes.append(set_aside(shelf.found))
    sitting = Sitting(
        history, Journal(shelf.journal), slide={"name": slide.name, "fingerprint": fingerprint}
    )
    sitting.shelf, sitting.notes = shelf, tuple(notes)
    if shelf.found is not None and not sitting.held_by:
        _take_in_hand(sitting, sketch)
    return sitting


def _take_in_hand(sitting: Sitting, sketch: Annotation | None) -> None:
    try:
        sitting.begin()
        if sketch is not None and sketch.complete:
            drawn = (*sitting.state.annotations, sketch)
            sitting.change("restore the unfinished outline", annotations=drawn)
    except (ReviewHeldError, JournalError) as error:
        sitting.trouble = str(error)
