"""The signature that an export of the open slide's review carries."""

from __future__ import annotations

from datetime import datetime

from napari_hagmil.export.signature import Signature
from napari_hagmil.session.session import Session


def sign(session: Session, reviewer: str) -> Signature:
    """Sign what is open now, in the local time zone.

    The model is that of the result on show; without one the regions' provenance alone names it. A
    review that is one reader's own carries the name of that reader.
    """
    slide, result, model = session.slide, session.result, session.model
    return Signature(
        slide=slide.name if slide else "",
        fingerprint=slide.fingerprint if slide else "",
        reviewer=session.reader or reviewer.strip(),
        signed=datetime.now().astimezone(),
        model=result.model.name if result else "",
        intended_use=model.config.intended_use if result and model else "",
    )
