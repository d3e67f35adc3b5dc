"""Camelyon16 in the layouts of its releases; the slides are empty stand-ins."""

import pytest

from napari_hagmil.cohort import from_camelyon16, read_cohort, write_cohort
from napari_hagmil.errors import CohortError

REFERENCE = "test_001,Tumor,IDC,Macro\ntest_002,Tumor,IDC,Micro\ntest_003,Normal,None,None\n"

#: The same six slides as GigaDB, as AWS and as the challenge laid them out.
LAYOUTS = {
    "training and testing": {
        "slides": "training/{kind}/{name}.tif",
        "test": "testing/images/{name}.tif",
        "xml": "training/lesion_annotations/{name}.xml",
        "reference": "testing/reference.csv",
        "mask": "testing/evaluation/evaluation_masks/test_001_evaluation_mask.tif",
    },
    "images": {
        "slides": "images/{name}.tif",
        "test": "images/{name}.tif",
        "xml": "annotations/{name}.xml",
        "reference": "evaluation/reference.csv",
        "mask": "masks/tumor_001.tif",
    },
    "challenge": {
        "slides": "TrainingData/Train_{Kind}/{Name}.tif",
        "test": "Testset/Images/{Name}.tif",
        "xml": "TrainingData/Ground_Truth/XML/{Name}.xml",
        "reference": "Testset/Ground_Truth/reference.csv",
        "mask": "TrainingData/Ground_Truth/Mask/Tumor_001_Mask.tif",
    },
}


def put(folder, pattern, name, text=""):
    kind = name.split("_")[0]
    words = {"kind": kind, "Kind": kind.title(), "name": name, "Name": name.title()}
    path = folder / pattern.format(**words)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(params=LAYOUTS)
def release(request, tmp_path):
    layout = LAYOUTS[request.param]
    for name in ("normal_001", "normal_002", "tumor_001", "tumor_002"):
        put(tmp_path, layout["slides"], name)
    for name in ("test_001", "test_002", "test_003"):
        put(tmp_path, layout["test"], name)
    for name in ("tumor_001", "tumor_002", "test_001", "test_002"):
        put(tmp_path, layout["xml"], name)
    put(tmp_path, layout["reference"], "x_1", REFERENCE)
    put(tmp_path, layout["mask"], "x_1")
    return tmp_path


def test_every_layout_gives_the_official_parts_labels_and_truths(release):
    listing = from_camelyon16(release)
    rows = [(r.name, r.label, r.split, r.truth is not None) for r in listing.records]
    assert rows == [
        ("normal_001", "normal", "train", False),
        ("normal_002", "normal", "train", False),
        ("tumor_001", "tumor", "train", True),
        ("tumor_002", "tumor", "train", True),
        ("test_001", "tumor", "test", True),
        ("test_002", "tumor", "test", True),
        ("test_003", "normal", "test", False),
    ]
    assert [one.reason for one in listing.left_out] == ["1 mask, not slides"]


def test_the_table_reads_back_as_it_was_written(release):
    listing = from_camelyon16(release)
    write_cohort(release / "cohort.csv", listing.records)
    cohort = read_cohort(release / "cohort.csv")
    assert cohort.records == listing.records
    assert cohort.classes == ("normal", "tumor")
    assert "\n/" not in (release / "cohort.csv").read_text(), "paths below are relative"


def test_a_table_elsewhere_names_its_slides_absolutely(release, tmp_path_factory):
    listing = from_camelyon16(release)
    table = tmp_path_factory.mktemp("tables") / "cohort.csv"
    write_cohort(table, listing.records)
    assert read_cohort(table).records == listing.records


@pytest.fixture
def folder(tmp_path):
    layout = LAYOUTS["training and testing"]
    for name in ("normal_001", "tumor_001"):
        put(tmp_path, layout["slides"], name)
    put(tmp_path, layout["test"], "test_001")
    put(tmp_path, layout["test"], "test_003")
    return tmp_path


def reference(folder, text):
    put(folder, "testing/reference.csv", "x_1", text)


def reasons(listing):
    return {one.name: one.reason for one in listing.left_out}


@pytest.mark.parametrize(
    "text",
    [
        REFERENCE,
        REFERENCE.title(),
        "image,type,subtype,size\n" + REFERENCE,
        REFERENCE.replace(",Tumor", ".tif,Tumor").replace(",Normal", ".tif,Normal"),
        REFERENCE.replace(",", ";").replace("\n", "\r\n"),
        "test_001,1\ntest_003,0\n",
        "﻿" + REFERENCE,
    ],
)
def test_the_known_variants_of_reference_csv_say_the_same(folder, text):
    reference(folder, text)
    records = {r.name: r.label for r in from_camelyon16(folder).records if r.split == "test"}
    assert records == {"test_001": "tumor", "test_003": "normal"}


def test_a_test_slide_without_a_row_is_left_out_with_the_reason(folder):
    reference(folder, "test_001,Tumor,IDC,Macro\n")
    listing = from_camelyon16(folder)
    assert reasons(listing) == {"testing/images/test_003.tif": "reference.csv has no row for it"}
    assert "test_003" not in {record.name for record in listing.records}


def test_without_a_reference_all_test_slides_are_left_out(folder):
    listing = from_camelyon16(folder)
    assert len(listing.left_out) == 2
    assert all("no reference.csv" in one.reason for one in listing.left_out)
    assert {r.split for r in listing.records} == {"train"}


def test_a_slide_that_the_reference_calls_both_is_left_out(folder):
    reference(folder, REFERENCE + "test_001,Normal,None,None\n")
    assert "both" in reasons(from_camelyon16(folder))["testing/images/test_001.tif"]


def test_a_row_that_cannot_be_understood_is_a_problem_with_its_line(folder):
    reference(folder, REFERENCE + "test_004,Unclear\n")
    sentences = [p.sentence() for p in from_camelyon16(folder).problems]
    assert any("line 4" in s and "test_004,Unclear" in s for s in sentences)


def test_rows_of_slides_that_are_absent_are_a_problem(folder):
    reference(folder, REFERENCE)
    sentences = [p.sentence() for p in from_camelyon16(folder).problems]
    assert any("not here: test_002" in s for s in sentences)


def test_slides_that_the_data_set_withdrew_are_left_out(folder):
    reference(folder, REFERENCE + "test_049,Tumor\n")
    put(folder, "training/{kind}/{name}.tif", "normal_086")
    put(folder, "testing/images/{name}.tif", "test_049")
    listing = from_camelyon16(folder)
    assert "tumor_111" in reasons(listing)["training/normal/normal_086.tif"]
    assert "duplicate" in reasons(listing)["testing/images/test_049.tif"]


def test_a_slide_in_the_folder_of_the_other_class_is_left_out(folder):
    put(folder, "training/normal/{name}.tif", "tumor_002")
    listing = from_camelyon16(folder)
    assert "lies in normal" in reasons(listing)["training/normal/tumor_002.tif"]


def test_a_slide_that_lies_in_two_folders_is_listed_once(folder):
    reference(folder, REFERENCE)
    put(folder, "copy/{name}.tif", "tumor_001")
    listing = from_camelyon16(folder)
    assert [r.name for r in listing.records].count("tumor_001") == 1
    assert "the same slide lies in" in str(reasons(listing))


def test_packed_annotations_and_tumours_without_any_are_problems(folder):
    put(folder, "training/lesion_annotations.zip", "x_1")
    sentences = [p.sentence() for p in from_camelyon16(folder).problems]
    assert any("lesion_annotations.zip" in s and "unpack" in s for s in sentences)
    assert any("tumor_001" in s and "no truth" in s for s in sentences)


def test_the_counts_of_the_release_are_compared(folder):
    sentences = [p.sentence() for p in from_camelyon16(folder).problems]
    assert any("1 of the 159 normal slides" in s for s in sentences)
    assert any("2 of the 129 test slides" in s for s in sentences)


def test_partly_outlined_slides_are_noted(folder):
    put(folder, "training/{kind}/{name}.tif", "tumor_010")
    put(folder, "training/{name}.xml", "tumor_010")
    assert any("tumor_010" in note for note in from_camelyon16(folder).notes)


def test_a_folder_without_slides_of_camelyon16_is_refused(tmp_path):
    (tmp_path / "a.tif").touch()
    with pytest.raises(CohortError, match="holds no slides of Camelyon16"):
        from_camelyon16(tmp_path)
    with pytest.raises(CohortError, match="not a folder"):
        from_camelyon16(tmp_path / "nowhere")
