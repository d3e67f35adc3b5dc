"""Tell the scan from the label, macro and thumbnail among the pictures of a TIFF.

A file may begin with its macro, and a macro may have more pixels than a scan. So pictures are told
apart by what the file says of each: its name, its pixel size, and whether it shows the whole glass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_hagmil.geometry import is_plausible_mpp
from napari_hagmil.slide.formats.associated import associated_kind, is_camera_picture
from napari_hagmil.slide.formats.tiff.stated import StatedPicture, stated_pictures
from napari_hagmil.slide.formats.tiff.tags import tiff_resolution

_MACRO_FILE_TYPE = 9  # NewSubfileType that Aperio gives to macros
_PAGE_NAME = 285

#: Kinds of files whose first picture is the scan and whose others tifffile names.
_SELF_NAMED = ("svs", "ndpi", "qpi", "philips")


@dataclass(frozen=True, slots=True)
class TiffPicture:
    """One picture of a TIFF.

    Attributes
    ----------
    series : tifffile.TiffPageSeries
        Its pages and levels.
    stated : StatedPicture or None
        What XML says of it.
    kind : str
        "label", "macro", "thumbnail" and the like; empty for a scan.
    """

    series: Any
    stated: StatedPicture | None = None
    kind: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, px."""
        page = self.series.keyframe
        return int(page.imagelength), int(page.imagewidth)

    @property
    def mpp(self) -> float | None:
        """µm per pixel as the file states them, plausible or not."""
        size = (self.stated and self.stated.size) or tiff_resolution(self.series.keyframe)
        return None if size is None else float((size.mpp[0] * size.mpp[1]) ** 0.5)

    @property
    def label(self) -> str:
        """What to call it when it is not shown; nothing that a user may have typed."""
        return self.kind or ("other" if self.stated else (self.series.name or "other").lower())


def tiff_pictures(tiff: Any, all_series: Sequence[Any]) -> list[TiffPicture]:
    """Tell the pictures of a file apart, in the order of the file.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    all_series : sequence of tifffile.TiffPageSeries
        Its pictures.
    """
    told = _matched(all_series, stated_pictures(tiff))
    found = [TiffPicture(*pair) for pair in zip(all_series, told, strict=True)]
    return [replace(picture, kind=_kind(picture, found)) for picture in found]


def scan_of(pictures: Sequence[TiffPicture]) -> TiffPicture:
    """Choose the slide: the largest scan, or where there is none, the largest picture."""
    scans = [picture for picture in pictures if not picture.kind] or pictures
    vendors = [picture for picture in scans if picture.series.kind in _SELF_NAMED]
    if vendors:
        return vendors[0]
    # Of a macro, programs often know no pixel size.
    measured = [p for p in scans if p.stated and p.mpp is not None and is_plausible_mpp(p.mpp)]
    return max(measured or scans, key=lambda p: p.shape[0] * p.shape[1])


def _matched(
    all_series: Sequence[Any], stated: Sequence[StatedPicture]
) -> list[StatedPicture | None]:
    """Match the XML's entries to the series: by first page, or by size, name and order."""
    seen: Counter[tuple[tuple[int, int], str]] = Counter()
    found: list[StatedPicture | None] = []
    for series in all_series:
        key = TiffPicture(series).shape, str(series.name or "")
        fitting = [s for s in stated if s.shape == key[0]]
        here = [s for s in fitting if s.page is not None and s.page == series.keyframe.index]
        candidates = here or [s for s in fitting if s.name == key[1]] or fitting
        found.append(candidates[min(seen[key], len(candidates) - 1)] if candidates else None)
        seen[key] += not here
    return found


def _kind(picture: TiffPicture, pictures: Sequence[TiffPicture]) -> str:
    for name in _names(picture):
        if found := associated_kind(name):
            return found
    page, others = picture.series.keyframe, [p for p in pictures if p is not picture]
    if int(page.subfiletype or 0) == _MACRO_FILE_TYPE:
        return "macro"
    if picture.stated and picture.stated.shows_all:
        parts = any(p.stated and not p.stated.shows_all for p in others)
        return "macro" if parts else ""
    return "macro" if is_camera_picture(picture.mpp, [p.mpp for p in others]) else ""


def _names(picture: TiffPicture) -> list[str]:
    if picture.stated:
        return [picture.stated.name]
    series = picture.series
    if series.kind in _SELF_NAMED:
        return [series.name or ""]
    texts = series.keyframe.description, series.keyframe.tags.valueof(_PAGE_NAME)
    return [series.name or "", *(str(text or "").split("\n")[0] for text in texts)]
