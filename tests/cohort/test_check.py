import shutil

import numpy as np
import pytest
import tifffile

from napari_hagmil.cohort import check_slides, check_table, same_content


@pytest.fixture
def table(tmp_path, phantom):
    shutil.copy(phantom, tmp_path / "good.tiff")
    shutil.copy(phantom, tmp_path / "copy.tiff")
    (tmp_path / "broken.svs").write_bytes(b"II*\0 is no slide")
    (tmp_path / "empty.svs").touch()
    tifffile.imwrite(tmp_path / "unsized.tiff", np.full((64, 64, 3), 200, np.uint8))
    path = tmp_path / "cohort.csv"
    path.write_text(
        "slide,label,patient,split\n"
        "good.tiff,tumor,p1,train\n"
        "copy.tiff,normal,p1,test\n"
        "broken.svs,tumor,p2,train\n"
        "empty.svs,normal,p3,test\n"
        "unsized.tiff,normal,p4,train\n"
        "absent.tiff,tumor,p5,train\n"
    )
    return path


def test_the_tables_problems_are_all_told_and_classes_counted_by_part(table):
    found = check_table(table)
    assert any("absent.tiff does not exist" in problem for problem in found.problems)
    assert any("patient p1 has slides in train and test" in problem for problem in found.problems)
    assert found.counts() == {"test": {"normal": 2}, "train": {"normal": 1, "tumor": 3}}


def test_every_slide_that_is_there_is_opened_and_one_failure_ends_nothing(table):
    slides = {s.record.name: s for s in check_slides(check_table(table).records)}
    assert set(slides) == {"good", "copy", "broken", "empty", "unsized"}
    assert slides["good"].problem is None
    assert slides["good"].magnification == "40×"
    assert slides["good"].area_mm2 == pytest.approx(4096**2 * (0.25e-3) ** 2)
    assert "broken.svs" in slides["broken"].problem.sentence()
    assert "empty.svs" in slides["empty"].problem.sentence()
    assert slides["unsized"].magnification == "unknown"
    assert slides["unsized"].problem is not None


def test_a_pixel_size_can_be_given_for_slides_that_have_none(table):
    records = [r for r in check_table(table).records if r.name == "unsized"]
    [slide] = check_slides(records, mpp=0.5)
    assert slide.problem is None
    assert slide.magnification == "20×"


def test_the_same_file_under_two_names_is_found(table):
    slides = list(check_slides(check_table(table).records))
    assert same_content(slides) == [("good", "copy")]
