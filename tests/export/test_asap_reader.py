import numpy as np
import pytest

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.asap_reader import read_asap


def annotation(group, corners, kind="Polygon"):
    places = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}" />' for i, (x, y) in enumerate(corners)
    )
    return (
        f'<Annotation Name="a" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        f"<Coordinates>{places}</Coordinates></Annotation>"
    )


def written(tmp_path, *annotations):
    path = tmp_path / "tumor_001.xml"
    path.write_text(
        '<?xml version="1.0"?><ASAP_Annotations><Annotations>'
        f"{''.join(annotations)}</Annotations><AnnotationGroups /></ASAP_Annotations>"
    )
    return path


def square(x, y, side):
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def test_corners_come_in_y_x_with_pixel_centres_at_integers(tmp_path):
    [(ring, _)] = read_asap(written(tmp_path, annotation("_0", [(10, 20), (30, 20), (30, 60)])))
    assert np.allclose(ring, [(19.5, 9.5), (19.5, 29.5), (59.5, 29.5)])


def test_normal_tissue_is_a_hole_of_the_smallest_area_around_it(tmp_path):
    areas = read_asap(
        written(
            tmp_path,
            annotation("Tumor", square(0, 0, 100)),
            annotation("_1", square(10, 10, 50)),
            annotation("_2", square(20, 20, 10)),
            annotation("Exclusion", square(500, 500, 10)),
        )
    )
    assert [len(holes) for _, holes in areas] == [0, 1]
    assert np.allclose(np.min(areas[1][1][0], axis=0), 19.5)


def test_corners_are_taken_by_their_number(tmp_path):
    path = written(tmp_path, annotation("_0", square(0, 0, 10)))
    text = path.read_text()
    first = '<Coordinate Order="0" X="0" Y="0" />'
    path.write_text(text.replace(first, "").replace("</Coordinates>", first + "</Coordinates>"))
    [(ring, _)] = read_asap(path)
    assert np.allclose(ring[0], (-0.5, -0.5))


def test_points_lines_and_areas_of_two_corners_enclose_nothing(tmp_path):
    areas = read_asap(
        written(
            tmp_path,
            annotation("_0", [(1, 1)], "Dot"),
            annotation("_0", [(1, 1), (5, 5), (9, 1)], "Measurement"),
            annotation("_0", [(1, 1), (5, 5)]),
            annotation("_0", []),
            annotation("_0", square(0, 0, 10), "Spline"),
        )
    )
    assert len(areas) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "<OME/>",
        '<!DOCTYPE a [<!ENTITY b "c">]><ASAP_Annotations/>',
        '<ASAP_Annotations><Annotation Type="Polygon"><Coordinate X="1"/></Annotation>'
        "</ASAP_Annotations>",
        '<ASAP_Annotations><Annotation Type="Polygon"><Coordinate X="nan" Y="1"/></Annotation>'
        "</ASAP_Annotations>",
    ],
)
def test_another_file_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "other.xml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"other\.xml must be"):
        read_asap(path)


def test_what_the_review_exports_for_asap_comes_back(tmp_path):
    """The two halves of the format agree on its frame."""
    from napari_hagmil.geometry import to_file_xy

    points = np.array([(19.5, 9.5), (19.5, 29.5), (59.5, 29.5)])
    [(ring, _)] = read_asap(written(tmp_path, annotation("_0", to_file_xy(points))))
    assert np.allclose(ring, points)
