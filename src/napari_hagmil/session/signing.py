"""The signature that an export of the open slide's review carries."""

from __future__ import annotations

from datetime import datetime

from napari_hagmil.bundles import find_bundle
from napari_hagmil.export.signature import Signature
from napari_hagmil.models import load_bundle
from napari_hagmil.session.runs.keeping import is_of_model
from napari_hagmil.session.session import Session


def sign(session: Session, reviewer: str) -> Signature:
    """Sign what is open now, in the local time zone.

    The model is that of the result on show; without one the regions' provenance alone names it. A
    review that is one reader's own carries the name of that reader.
    """
    slide, result = session.slide, session.result
    return Signature(
        slide=slide.name if slide else "",
        fingerprint=slide.fingerprint if slide else "",
        reviewer=session.reader or reviewer.strip(),
        signed=datetime.now().astimezone(),
        model=result.model.name if result else "",
        intended_use=_intended_use(session) if result else "",
    )


def _intended_use(session: Session) -> str:
    """What the model of the result on show is for; a result that was read back names it only."""
    model, result = session.model, session.result
    if model is None and result is not None and is_of_model(result, session.model_name):
        model = load_bundle(find_bundle(session.model_name))
    return model.config.intended_use if model is not None else ""
