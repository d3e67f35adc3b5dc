"""Annotations and attention as DICOM, beside a slide that is DICOM (an optional extra)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import napari_hagmil
from napari_hagmil.attention import attention_map
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.errors import AnnotationError, MissingExtraError, OutputError
from napari_hagmil.files import replacing
from napari_hagmil.geometry import from_file_xy, to_file_xy
from napari_hagmil.polygons import (
    Outline,
    Rings,
    are_on_a_slide,
    ellipse_around,
    outline,
    valid_parts,
    without_holes,
)
from napari_hagmil.review import UNCLASSIFIED, Annotation, AnnotationKind, PathClass, new_id
from napari_hagmil.slide.formats.dicom import finest_instance

_MAKER = "napari-hagmil"
_TYPES: dict[AnnotationKind, str] = {
    "point": "POINT", "ruler": "POLYLINE", "polyline": "POLYLINE"
}  # fmt: skip

#: Codes of SNOMED CT for QuPath's default classes; others are a selected region.
_CODES = {
    "tumor": ("108369006", "SCT", "Tumor"),
    "necrosis": ("6574001", "SCT", "Necrosis"),
}
#: DICOM wants them in every instance, be they empty.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: What stays of an instance where its patient is to have a pseudonym.
_NAMELESS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PlanarConfiguration", "TotalPixelMatrixColumns", "TotalPixelMatrixRows",
    "TotalPixelMatrixOriginSequence", "ImageOrientationSlide", "ImagedVolumeWidth",
    "ImagedVolumeHeight", "ImagedVolumeDepth", "DimensionOrganizationType",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_SELECTED = ("111099", "DCM", "Selected region")


def write_dicom_annotations(
    path: str | Path,
    slide: str | Path,
    drawn: Sequence[Annotation],
    *,
    algorithm: str = "",
    pseudonym: str = "",
) -> None:
    """Write annotations as Microscopy Bulk Simple Annotations of a DICOM slide.

    A group per class and kind, labelled with the class; coordinates count pixels of the total
    pixel matrix of the finest level. DICOM's polygons have no holes: an area with holes becomes
    parts without any.

    Parameters
    ----------
    path : path
        Replaced whole.
    slide : path
        The slide's folder, or an instance of it.
    drawn : sequence of Annotation
        Level-0 px.
    algorithm : str
        The model that found them; empty: a person drew them.
    pseudonym : str
        In the place of the patient and all that tells of one; empty: as the slide says.

    Raises
    ------
    MissingExtraError
        When highdicom is not installed.
    OutputError
        When there is nothing to write, the slide's instances lack what DICOM requires, or the
        file cannot be written.
    """
    highdicom = _highdicom()
    groups = _groups(highdicom, drawn, algorithm)
    if not groups:
        raise OutputError(
            Path(path).name, "must hold an annotation at least: DICOM has no empty ones",
            remedy="draw one, or accept a region",
        )  # fmt: skip
    source = _source(slide, pseudonym)
    _save(
        path,
        lambda: highdicom.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[source],
            annotation_coordinate_type="2D",
            annotation_groups=groups,
            content_description="Research use only, not for diagnosis",
            content_label="REGIONS",
            **_facts(highdicom, 1),
        ),
    )


def read_dicom_annotations(
    path: str | Path, slide: str | Path | None = None
) -> tuple[list[Annotation], list[PathClass]]:
    """Read Microscopy Bulk Simple Annotations: places in level-0 px, classes by group label.

    Parameters
    ----------
    path : path
        The file.
    slide : path, optional
        The DICOM slide; needed where coordinates are millimetres on the glass.

    Raises
    ------
    MissingExtraError
        When highdicom is not installed.
    AnnotationError
        When it is no such file, or its coordinates need a slide that is not given.
    """
    highdicom, path = _highdicom(), Path(path)
    drawn: list[Annotation] = []
    classes: dict[str, PathClass] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, about lengths of values
            content = highdicom.ann.annread(path)
        kind = str(content.AnnotationCoordinateType)
        to_pixels = _to_pixels(highdicom, content, kind, slide, path.name)
        for group in content.get_annotation_groups():
            label = str(group.label)
            classes.setdefault(label, PathClass(label, UNCLASSIFIED.color))
            for points in group.get_graphic_data(kind):
                for ours, places in _as_ours(str(group.graphic_type.value), to_pixels(points)):
                    drawn.append(Annotation(new_id(), ours, outline(places), label))
    except AnnotationError:
        raise
    except Exception as error:  # highdicom's and pydicom's errors share no base
        raise AnnotationError(
            path.name,
            "must be Microscopy Bulk Simple Annotations of DICOM",
            value=str(error)[:80],
            remedy="export it again",
        ) from error
    return drawn, list(classes.values())


def write_attention_dicom(
    path: str | Path, slide: str | Path, result: SlideResult, stage: Stage, *, pseudonym: str = ""
) -> None:
    """Write the attention of a depth as a parametric map over a DICOM slide.

    Float, one frame, a pixel per patch in the slide's frame of reference; 0 where the cascade
    did not look, which attention itself never is. Parameters and errors as of
    `write_dicom_annotations`.
    """
    highdicom = _highdicom()
    grid, source = result.grids[stage.depth], _source(slide, pseudonym)
    values = np.nan_to_num(
        attention_map(grid, stage.nodes, stage.attention, crop=False).values.astype(np.float32)
    )
    top = max(float(values.max()), 1e-6)
    _save(
        path,
        lambda: highdicom.pm.ParametricMap(
            source_images=[source],
            pixel_array=values[None],
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[_meaning(highdicom)],
            window_center=top / 2,
            window_width=top,
            content_label="ATTENTION",
            content_description=f"Attention of {result.model.name}, depth {stage.depth}"[:64],
            **_frame(highdicom, source, grid.stride),
            **_facts(highdicom, 2 + stage.depth),
        ),
    )


def _frame(highdicom: Any, source: Any, stride: float) -> dict[str, Any]:
    """Where a map lies whose pixels are patches, from the corner of the slide on."""
    corner = _reference(highdicom, source)(np.array([[stride / 2, stride / 2]]))[0]
    return {
        "pixel_measures": highdicom.PixelMeasuresSequence(
            pixel_spacing=[float(side) * stride for side in _spacing(source)],
            slice_thickness=_thickness(source),
        ),
        "plane_orientation": highdicom.PlaneOrientationSequence(
            "SLIDE", [float(part) for part in source.ImageOrientationSlide]
        ),
        "plane_positions": [
            highdicom.PlanePositionSequence("SLIDE", [float(v) for v in corner], (1, 1))
        ],
    }


def _meaning(highdicom: Any) -> Any:
    return highdicom.pm.RealWorldValueMapping(
        lut_label="ATTENTION",
        lut_explanation="Attention of the model, 0 where it did not look",
        unit=highdicom.sr.CodedConcept("1", "UCUM", "no units"),
        value_range=(0.0, 1.0),
        intercept=0,
        slope=1,
    )


def _groups(highdicom: Any, drawn: Sequence[Annotation], algorithm: str) -> list[Any]:
    members: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for one in drawn:
        kind = _TYPES.get(one.kind, "POLYGON")
        parts = _without_holes(one.rings) if kind == "POLYGON" else [one.points]
        members.setdefault((one.path_class, kind), []).extend(map(to_file_xy, parts))
    concept, how = highdicom.sr.CodedConcept, {}
    if algorithm:
        family = concept("123109", "DCM", "Artificial Intelligence")
        how["algorithm_identification"] = highdicom.AlgorithmIdentificationSequence(
            name=algorithm[:64], family=family, version=napari_hagmil.__version__
        )
    return [
        highdicom.ann.AnnotationGroup(
            number=number,
            uid=highdicom.UID(),
            label=(name or "Unclassified")[:64],
            annotated_property_category=concept("91723000", "SCT", "Anatomical structure"),
            annotated_property_type=concept(*_CODES.get(name.lower(), _SELECTED)),
            graphic_type=kind,
            graphic_data=points,
            algorithm_type="AUTOMATIC" if algorithm else "MANUAL",
            **how,
        )
        for number, ((name, kind), points) in enumerate(members.items(), start=1)
        if points
    ]


def _without_holes(rings: Rings) -> list[Outline]:
    return [part for one in valid_parts(rings) for part in without_holes(one)]


def _as_ours(
    kind: str, points: NDArray[np.float64]
) -> list[tuple[AnnotationKind, NDArray[np.float64]]]:
    if not are_on_a_slide(points):
        raise ValueError("a place that is on no slide")
    places = from_file_xy(points[:, :2])
    if kind == "POINT":
        return [("point", place[None]) for place in places]
    if kind == "POLYLINE":
        return [("ruler" if len(places) == 2 else "polyline", places)]
    if kind == "ELLIPSE":  # the ends of its axes
        half = (places[3] - places[2]) / 2
        box = [places[0] - half, places[1] - half, places[1] + half, places[0] + half]
        return [("ellipse", np.asarray(ellipse_around(box)))]
    return [("polygon", places)]


def _to_pixels(highdicom: Any, content: Any, kind: str, slide: str | Path | None, name: str) -> Any:
    """How coordinates of a file become (x, y) of the total pixel matrix."""
    if kind == "2D":
        if str(content.get("PixelOriginInterpretation", "VOLUME")) != "VOLUME":
            raise AnnotationError(
                name, "counts from the corner of a frame", remedy="export it for the whole slide"
            )
        return lambda points: np.asarray(points, np.float64)
    if slide is None:
        raise AnnotationError(name, "is in millimetres on the glass", remedy="give its slide too")
    to_image = highdicom.spatial.ReferenceToImageTransformer.for_image(
        _source(slide), for_total_pixel_matrix=True
    )
    return lambda points: np.asarray(to_image(np.asarray(points, np.float64)))[:, :2]


def _source(slide: str | Path, pseudonym: str = "") -> Any:
    """The finest instance of a slide, without its pixels; whose patient may be unknown.

    With a pseudonym, no more than the geometry and the identifiers that refer to the slide.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about lengths of values
        found = pydicom.dcmread(finest_instance(Path(slide)), stop_before_pixels=True)
    if pseudonym:
        for element in list(found):
            if element.keyword not in _NAMELESS:
                del found[element.tag]
        found.PatientID = found.PatientName = pseudonym
    for name in _MAY_BE_EMPTY:
        if name not in found:
            setattr(found, name, "")
    return found


def _spacing(source: Any) -> Sequence[float]:
    shared = source.SharedFunctionalGroupsSequence[0]
    spacing: Sequence[float] = shared.PixelMeasuresSequence[0].PixelSpacing
    return spacing


def _thickness(source: Any) -> float:
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    return float(measures.get("SliceThickness") or 0.001)


def _reference(highdicom: Any, source: Any) -> Any:
    """From (x, y) of the total pixel matrix, pixel edges at integers, to mm on the glass."""
    return highdicom.spatial.ImageToReferenceTransformer.for_image(
        source, for_total_pixel_matrix=True
    )


def _facts(highdicom: Any, number: int) -> dict[str, Any]:
    return {
        "series_instance_uid": highdicom.UID(),
        "series_number": number,
        "sop_instance_uid": highdicom.UID(),
        "instance_number": 1,
        "manufacturer": _MAKER,
        "manufacturer_model_name": _MAKER,
        "software_versions": napari_hagmil.__version__,
        "device_serial_number": "0",
    }


def _save(path: str | Path, make: Any) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about lengths of the slide's own values
            made = make()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise OutputError(
            Path(path).name,
            f"cannot be made: the slide's instances lack what DICOM requires ({error})",
            remedy="export GeoJSON instead",
        ) from error
    with replacing(Path(path)) as draft:
        made.save_as(draft)


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError as error:
        raise MissingExtraError(
            "DICOM annotations",
            "need highdicom, which is not installed",
            remedy="run: pip install 'napari-hagmil[highdicom]'",
        ) from error
    return highdicom
