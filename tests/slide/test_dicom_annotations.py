"""Annotations and attention as DICOM of a DICOM slide: read back by highdicom and wsidicom."""

from pathlib import Path

import numpy as np
import pytest
from dicom_slides import write_dicom

from napari_hagmil.attention import attention_map
from napari_hagmil.cascade.result import Stage
from napari_hagmil.cli import main
from napari_hagmil.errors import AnnotationError, OutputError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.on_request.dicom import (
    read_dicom_annotations,
    write_attention_dicom,
    write_dicom_annotations,
)
from napari_hagmil.polygons import Rings, shape_of
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.review import Annotation

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
highdicom = pytest.importorskip("highdicom", reason="the extra highdicom is not installed")

SQUARE = ((99.5, 199.5), (99.5, 299.5), (179.5, 299.5), (179.5, 199.5))
DRAWN = [
    Annotation("a", "polygon", SQUARE, "Tumor"),
    Annotation("b", "point", ((5.0, 6.0),), "Mitosis"),
    Annotation("c", "ruler", ((5.0, 6.0), (15.0, 26.0)), "Tumor"),
]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom")
    picture = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    return write_dicom(folder / "slide", [picture, picture[::2, ::2]])


def test_annotations_come_back_from_dicom(slide: Path, tmp_path: Path) -> None:
    write_dicom_annotations(tmp_path / "a.dcm", slide, DRAWN)
    back, classes = read_dicom_annotations(tmp_path / "a.dcm")
    for one, other in zip(DRAWN, [back[0], back[1], back[2]], strict=True):
        assert (one.kind, one.path_class) == (other.kind, other.path_class)
        assert set(one.points) == set(other.points)
    assert {one.name for one in classes} == {"Tumor", "Mitosis"}


def test_highdicom_finds_the_places_in_the_total_pixel_matrix(slide: Path, tmp_path: Path) -> None:
    write_dicom_annotations(tmp_path / "a.dcm", slide, DRAWN, algorithm="demo")
    content = highdicom.ann.annread(tmp_path / "a.dcm")
    group = content.get_annotation_groups()[0]
    (points,) = group.get_graphic_data("2D")
    assert sorted(map(tuple, points.tolist())) == [(200, 100), (200, 180), (300, 100), (300, 180)]
    assert group.algorithm_type.value == "AUTOMATIC"
    assert str(content.PixelOriginInterpretation) == "VOLUME"
    header = pydicom.dcmread(slide / "level-0.dcm", stop_before_pixels=True)
    assert content.ReferencedSeriesSequence[0].SeriesInstanceUID == header.SeriesInstanceUID
    (image,) = content.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == header.SOPInstanceUID


def test_wsidicom_reads_the_annotations(slide: Path, tmp_path: Path) -> None:
    graphics = pytest.importorskip("wsidicom.graphical_annotations")
    write_dicom_annotations(tmp_path / "a.dcm", slide, DRAWN[:1])
    (instance,) = graphics.AnnotationInstance.open([tmp_path / "a.dcm"])
    (group,) = instance.groups
    assert group.label == "Tumor"
    (area,) = group.annotations
    found = {(point.x, point.y) for point in area.geometry.points}
    assert found == {(200, 100), (300, 100), (300, 180), (200, 180)}


def test_a_hole_becomes_parts_without_any(slide: Path, tmp_path: Path) -> None:
    """As an import of GeoJSON joins it to its outline, by a cut of no width."""
    hole = ((119.5, 219.5), (139.5, 219.5), (139.5, 259.5), (119.5, 259.5))
    ring = (SQUARE[0], *hole, hole[0], *SQUARE)
    write_dicom_annotations(tmp_path / "a.dcm", slide, [Annotation("a", "polygon", ring, "Tumor")])
    back, _ = read_dicom_annotations(tmp_path / "a.dcm")
    assert len(back) > 1
    shapes = [shape_of(Rings(one.points)) for one in back]
    assert sum(shape.area for shape in shapes) == pytest.approx(80 * 100 - 20 * 40)


def test_millimetres_on_the_glass_need_the_slide(slide: Path, tmp_path: Path) -> None:
    source = pydicom.dcmread(slide / "level-0.dcm", stop_before_pixels=True)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(source, name, "")
    for name in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        setattr(source, name, "")
    to_glass = highdicom.spatial.ImageToReferenceTransformer.for_image(
        source, for_total_pixel_matrix=True
    )
    corners = to_glass(np.array([(200.0, 100.0), (300.0, 100.0), (300.0, 180.0), (200.0, 180.0)]))
    concept = highdicom.sr.CodedConcept("111099", "DCM", "Selected region")
    group = highdicom.ann.AnnotationGroup(
        number=1, uid=highdicom.UID(), label="Tumor", annotated_property_category=concept,
        annotated_property_type=concept, graphic_type="POLYGON", graphic_data=[corners],
        algorithm_type="MANUAL",
    )  # fmt: skip
    made = highdicom.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[source], annotation_coordinate_type="3D", annotation_groups=[group],
        series_instance_uid=highdicom.UID(), series_number=1, sop_instance_uid=highdicom.UID(),
        instance_number=1, manufacturer="m", manufacturer_model_name="m", software_versions="1",
        device_serial_number="1",
    )  # fmt: skip
    made.save_as(tmp_path / "a.dcm")
    with pytest.raises(AnnotationError, match="give its slide too"):
        read_dicom_annotations(tmp_path / "a.dcm")
    (one,), _ = read_dicom_annotations(tmp_path / "a.dcm", slide)
    np.testing.assert_allclose(sorted(one.points), sorted(SQUARE), atol=1e-3)


def test_attention_lies_over_the_patches_on_the_glass(slide: Path, tmp_path: Path) -> None:
    from types import SimpleNamespace

    grid = PatchGrid(32, 2.0, (15, 19))
    nodes = np.array([(0, 0), (3, 7), (14, 18)], np.int64)
    attention = np.array([0.2, 0.5, 0.3], np.float32)
    seen = np.zeros(3, bool)
    stage = Stage(0, nodes, attention, np.zeros(2, np.float32), seen, seen)
    result = SimpleNamespace(grids=(grid,), model=SimpleNamespace(name="demo"))
    write_attention_dicom(tmp_path / "a.dcm", slide, result, stage)
    found = highdicom.imread(tmp_path / "a.dcm")
    values = np.squeeze(found.pixel_array)
    expected = np.nan_to_num(attention_map(grid, nodes, attention, crop=False).values)
    np.testing.assert_array_equal(values, expected)
    header = pydicom.dcmread(slide / "level-0.dcm", stop_before_pixels=True)
    spatial = highdicom.spatial
    to_slide = spatial.ReferenceToImageTransformer.for_image(header, for_total_pixel_matrix=True)
    to_glass = spatial.ImageToReferenceTransformer.for_image(found, for_total_pixel_matrix=True)
    for row, column in nodes:
        place = to_slide(to_glass(np.array([[column + 0.5, row + 0.5]])))[0]
        # Centre of the patch, (x, y) with pixel edges at integers; within half a pixel.
        np.testing.assert_allclose(place[:2], [(column + 0.5) * 64, (row + 0.5) * 64], atol=0.5)


def test_what_is_no_annotation_is_refused_in_one_sentence(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="must be Microscopy Bulk Simple Annotations"):
        read_dicom_annotations(slide / "level-0.dcm")
    with pytest.raises(OutputError, match="an annotation at least"):
        write_dicom_annotations(tmp_path / "a.dcm", slide, [])


def test_the_command_goes_from_geojson_to_dicom_and_back(slide: Path, tmp_path: Path) -> None:
    from napari_hagmil.export.review import ReviewWish, write_review
    from napari_hagmil.review import ReviewState

    state = ReviewState(annotations=(DRAWN[0],))
    (path,) = write_review(tmp_path / "r", state, ReviewWish(), mpp=0.5)
    out = tmp_path / "r.dcm"
    assert main(["export", "annotations", str(path), str(out), "--slide", str(slide)]) == 0
    assert main(["export", "annotations", str(out), str(tmp_path / "b.geojson")]) == 0
    (one,), _ = read_annotations(tmp_path / "b.geojson")
    assert set(one.points) == set(SQUARE)
    assert main(["export", "annotations", str(path), str(out)]) == 1  # of which slide?
