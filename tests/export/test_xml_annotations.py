import numpy as np
import pytest

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.xml_annotations import read_xml_annotations, read_xml_areas


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
    [(ring, _)] = read_xml_areas(
        written(tmp_path, annotation("_0", [(10, 20), (30, 20), (30, 60)]))
    )
    assert np.allclose(ring, [(19.5, 9.5), (19.5, 29.5), (59.5, 29.5)])


def test_normal_tissue_is_a_hole_of_the_smallest_area_around_it(tmp_path):
    areas = read_xml_areas(
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
    [(ring, _)] = read_xml_areas(path)
    assert np.allclose(ring[0], (-0.5, -0.5))


def test_points_lines_and_areas_of_two_corners_enclose_nothing(tmp_path):
    areas = read_xml_areas(
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
        read_xml_areas(path)


def test_what_the_review_exports_for_asap_comes_back(tmp_path):
    """The two halves of the format agree on its frame."""
    from napari_hagmil.geometry import to_file_xy

    points = np.array([(19.5, 9.5), (19.5, 29.5), (59.5, 29.5)])
    [(ring, _)] = read_xml_areas(written(tmp_path, annotation("_0", to_file_xy(points))))
    assert np.allclose(ring, points)


def test_a_decimal_comma_is_a_point(tmp_path):
    path = written(tmp_path, annotation("_0", [("10,5", "20,5"), (30, 20), (30, 60)]))
    [(ring, _)] = read_xml_areas(path)
    assert ring[0] == (20.0, 10.0)


def layer(regions, name="", description="", color=255):
    return (
        f'<Annotation Id="1" Name="{name}" Type="4" LineColor="{color}"><Attributes>'
        f'<Attribute Name="Description" Id="0" Value="{description}"/></Attributes><Regions>'
        f"<RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation>"
    )


def region(corners, kind="0", tag='Vertex Z="0"', **said):
    places = "".join(f'<{tag} X="{x}" Y="{y}"/>' for x, y in corners)
    facts = " ".join(f'{key}="{value}"' for key, value in said.items())
    return (
        f'<Region Id="1" Type="{kind}" {facts}><Attributes/><Vertices>{places}</Vertices></Region>'
    )


def written_layers(tmp_path, *layers, name="a.xml"):
    path = tmp_path / name
    path.write_text(f'<Annotations MicronsPerPixel="0.25">{"".join(layers)}</Annotations>')
    return path


def test_what_imagescope_drew_arrives_with_its_layers_as_classes(tmp_path):
    """Asked for in qupath/qupath#128 and choosehappy/HistoQC#180; ellipses are two corners."""
    path = written_layers(
        tmp_path,
        layer([region(square(10, 20, 40), Text="check"), region([(0, 0), (3, 4)], "4")], "Tumor"),
        layer([region([(100, 100), (140, 120)], "2")], description="Mitosis", color=65280),
        layer([region([(5, 5), (9, 9)], "3"), region([(5, 5), (5, 5)])]),  # an arrow, a click
        layer([region(square(0, 0, 9), "1", Text="Necrosis")]),
    )
    drawn, classes = read_xml_annotations(path)
    assert [(one.kind, one.path_class, one.comment) for one in drawn] == [
        ("polygon", "Tumor", "check"),
        ("ruler", "Tumor", ""),
        ("polygon", "Mitosis", ""),
        ("polygon", "Necrosis", ""),
    ]
    assert drawn[0].points[0] == (19.5, 9.5)
    assert [one.color for one in classes[:2]] == [(255, 0, 0), (0, 255, 0)]
    (top, left), (bottom, right) = np.min(drawn[2].points, axis=0), np.max(drawn[2].points, axis=0)
    assert np.allclose((left, right, top, bottom), (99.5, 139.5, 99.5, 119.5))


def test_a_negative_region_is_a_hole_in_files_of_imagescope_and_halo(tmp_path):
    negative = region(square(20, 20, 10), "Polygon", "V", NegativeROA="1")
    whole = region(square(0, 0, 100), "Rectangle", "V", NegativeROA="0")
    path = written_layers(tmp_path, layer([negative, whole], "Layer 1"), name="a.annotations")
    [(outer, holes)] = read_xml_areas(path)
    assert outer[0] == (-0.5, -0.5)
    assert [hole[0] for hole in holes] == [(19.5, 19.5)]
