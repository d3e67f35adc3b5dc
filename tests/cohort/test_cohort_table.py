from pathlib import Path

import pytest

from napari_hagmil.cohort import SlideRecord, read_cohort
from napari_hagmil.errors import CohortError

UUID = "d4ff32cd-38cf-40ea-8213-45c2b100ac01"
TABLE = """slide,label,patient,split
slides/a.tiff,normal,p1,train
slides/b.tiff,tumor,p2,train
slides/c.tiff,normal,p3,test
slides/d.tiff,tumor,p4,test
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slides").mkdir()
    for name in "abcd":
        (tmp_path / "slides" / f"{name}.tiff").touch()
        (tmp_path / "slides" / f"{name}.geojson").write_text("{}")
    return tmp_path


def written(folder, text, encoding="utf-8"):
    path = folder / "cohort.csv"
    path.write_bytes(text.encode(encoding))
    return path


def problems(folder, text, **rules):
    with pytest.raises(CohortError) as caught:
        read_cohort(written(folder, text), **rules)
    return caught.value.problems


def test_paths_are_relative_to_the_table_and_classes_alphabetical(folder):
    cohort = read_cohort(written(folder, TABLE))
    assert cohort.records[0] == SlideRecord(
        folder / "slides" / "a.tiff", "normal", "p1", "train", name="a"
    )
    assert cohort.classes == ("normal", "tumor")
    assert cohort.labels.tolist() == [0, 1, 0, 1]
    assert cohort.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_reads_the_same_however_a_spreadsheet_wrote_it(
    folder, encoding, delimiter, newline
):
    plain = read_cohort(written(folder, TABLE))
    text = TABLE.replace(",", delimiter).replace("\n", newline)
    assert read_cohort(written(folder, text, encoding)) == plain


@pytest.mark.parametrize("first", ["sep={}", "SEP={}", '"sep={}"', "sep={}{}{}{}", "\nsep={}"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_that_excel_names_in_its_first_line_is_used(folder, first, delimiter):
    plain = read_cohort(written(folder, TABLE))
    text = TABLE.replace(",", delimiter)
    named = first.replace("{}", delimiter)
    assert read_cohort(written(folder, f"{named}\r\n{text}", "utf-8-sig")) == plain


@pytest.mark.parametrize(
    ("slide", "name"),
    [
        (f"TCGA-05-4244-01Z-00-DX1.{UUID}", f"TCGA-05-4244-01Z-00-DX1.{UUID}"),
        (f"TCGA-05-4244-01Z-00-DX1.{UUID}.svs", f"TCGA-05-4244-01Z-00-DX1.{UUID}"),
        ("S12.345 HE", "S12.345 HE"),
        ("S12.345 HE.NDPI", "S12.345 HE"),
        ("Präparat 1.2.ome.tif", "Präparat 1.2.ome"),
        ("features/case.7.h5", "case.7"),
        ("https://host/a.b/case.7.zarr", "case.7"),
    ],
)
def test_only_the_suffix_of_a_slide_is_cut_off_its_name(slide, name):
    assert SlideRecord(Path(slide), "x", "p").name == name


def test_blank_lines_spaces_and_capitals_of_the_header_do_not_matter(folder):
    plain = read_cohort(written(folder, TABLE))
    text = TABLE.replace("slide,label", " Slide , LABEL").replace("normal,p1", "normal , p1")
    assert read_cohort(written(folder, text.replace("\n", "\n\n"))) == plain


def test_a_truth_column_is_read_and_others_are_noted(folder):
    cohort = read_cohort(
        written(
            folder,
            "slide,label,patient,truth,stain,site\n"
            "slides/a.tiff,normal,p1,,HE,1\n"
            "slides/b.tiff,tumor,p2,slides/b.geojson,HE,2\n",
        )
    )
    assert cohort.records[0].truth is None
    assert cohort.records[1].truth == folder / "slides" / "b.geojson"
    assert cohort.notes == ("Columns that are not used: stain, site.",)


@pytest.mark.parametrize(
    ("header", "noted"),
    [
        ("slide_id,label,case_id", ["slide_id", "case_id"]),  # CLAM
        ("Slide ID,Class,Patient-ID", ["slide id", "class", "patient-id"]),
        ("filename,diagnosis,submitter_id", ["filename", "diagnosis", "submitter_id"]),
    ],
)
def test_columns_that_others_call_otherwise_are_taken_and_noted(folder, header, noted):
    rows = "slides/a.tiff,normal,p1\nslides/b.tiff,tumor,p2\n"
    cohort = read_cohort(written(folder, f"{header}\n{rows}"))
    plain = read_cohort(written(folder, f"slide,label,patient\n{rows}"))
    assert cohort.records == plain.records
    taken = [note.split(" is taken ")[0] for note in cohort.notes]
    assert sorted(taken) == sorted(f"The column {name}" for name in noted)


def test_a_column_of_ours_counts_before_what_others_call_it(folder):
    text = "slide_id,slide,label,patient\n1,slides/a.tiff,normal,p1\n2,slides/b.tiff,tumor,p2\n"
    cohort = read_cohort(written(folder, text))
    assert [one.name for one in cohort.records] == ["a", "b"]
    assert cohort.notes == ("Columns that are not used: slide_id.",)


def test_an_id_without_a_suffix_is_the_one_slide_that_is_called_so(folder):
    """CLAM's tables have slide ids, TCGA's with a UUID behind a dot."""
    (folder / f"TCGA-05.{UUID}.svs").touch()
    text = f"slide,label,patient\nslides/a,normal,p1\nTCGA-05.{UUID},tumor,p2\n"
    records = read_cohort(written(folder, text)).records
    assert [one.path.name for one in records] == ["a.tiff", f"TCGA-05.{UUID}.svs"]
    (folder / "slides" / "a.svs").touch()
    assert any("a does not exist" in one for one in problems(folder, text))


def test_parts_may_be_written_out(folder):
    text = TABLE.replace("train", "Training").replace("test", "testing")
    assert read_cohort(written(folder, text)) == read_cohort(written(folder, TABLE))


def test_empty_cells_beside_the_table_are_nothing(folder):
    text = TABLE.replace("p1,train", "p1,train,,").replace("p4,test", "p4,test, ,")
    assert read_cohort(written(folder, text)) == read_cohort(written(folder, TABLE))
    assert "line 2 has 6 cells where the header has 4" in problems(
        folder, TABLE.replace("p1,train", "p1,train,,x")
    )


def test_a_table_made_on_windows_finds_its_slides(folder):
    cohort = read_cohort(written(folder, TABLE.replace("slides/", "slides\\")))
    assert cohort.records[0].path == folder / "slides" / "a.tiff"


def test_a_slide_may_lie_at_a_url(folder):
    from napari_hagmil.slide.location import url_of

    url = "https://host/images/remote.ome.zarr"
    text = f"slide,label,patient\nslides/a.tiff,normal,p1\n{url},tumor,p2\n"
    record = read_cohort(written(folder, text)).records[1]
    assert url_of(record.path) == url
    assert record.name == "remote.ome"


def test_all_problems_are_named_at_once(folder):
    found = problems(
        folder,
        "slide,label,patient,split\n"
        "slides/a.tiff,normal,p1,train\n"
        "slides/a.tiff,tumor,p1,test\n"
        "slides/gone.tiff,tumor,p2,dev\n"
        "slides/b.tiff,,,\n"
        "slides/c.tiff,normal\n"
        "slides/d.tiff,cat,p4,\n",
        classes=("normal", "tumor", "benign"),
    )
    expected = (
        "line 6 has 2 cells where the header has 4",
        "line 4 has the split 'dev', not train, val or test",
        "line 5 has no label and no patient",
        f"line 4: the slide {folder / 'slides' / 'gone.tiff'} does not exist",
        "the slide a.tiff stands in lines 2 and 3",
        "patient p1 has slides in train and test; move them to one",
        "line 7 has the label 'cat', which is none of normal, tumor, benign",
        "the class 'benign' has no slide",
    )
    assert found == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("slide,label,patient\n", "it names no slide"),
        ("slide,label\nslides/a.tiff,normal\n", "the column 'patient' is missing"),
        ("slide,label,patient,label\na,b,c,d\n", "the column 'label' stands there twice"),
        (TABLE.replace("tumor", "normal"), "all slides are labelled normal; two classes"),
        (TABLE.replace("slides/a.tiff,", '"slides/a.tiff,'), "unexpected end of data"),
        (TABLE.replace("p1,train", "p1,").replace("p2,train", "p2,val"), "1 of 4 slides have no"),
        (
            "slide,label,patient,truth\nslides/a.tiff,x,p1,no.geojson\nslides/b.tiff,y,p2,\n",
            "no.geojson does not exist",
        ),
        (
            "slide,label,patient,name\nslides/a.tiff,x,p1,../up\nslides/b.tiff,y,p2,\n",
            "'../up', which cannot be a file's name",
        ),
        (
            "slide,label,patient,name\nslides/a.tiff,x,p1,One\nslides/b.tiff,y,p2,one\n",
            "lines 2 and 3 name different slides 'One'; tell them apart in a column 'name'",
        ),
    ],
)
def test_each_fault_is_named(folder, text, says):
    assert any(says in problem for problem in problems(folder, text))


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(CohortError, match=r"none\.csv cannot be read: No such file"):
        read_cohort(tmp_path / "none.csv")
    (tmp_path / "table.csv").write_bytes("slide,label,patient\nMüller,x,y".encode("latin-1"))
    with pytest.raises(CohortError, match="save it as CSV UTF-8"):
        read_cohort(tmp_path / "table.csv")
    (tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(CohortError, match="is a workbook of a spreadsheet program; save it as CSV"):
        read_cohort(tmp_path / "table.xlsx")


def test_a_long_list_of_problems_is_cut_in_the_message_only(folder):
    text = "slide,label,patient\n" + "".join(f"gone{i}.tiff,x{i % 2},p\n" for i in range(40))
    with pytest.raises(CohortError, match="and 28 more") as caught:
        read_cohort(written(folder, text))
    assert len(caught.value.problems) == 40


def test_rules_can_be_relaxed_for_imported_features_and_for_testing(folder):
    text = "slide,label,patient\nelsewhere.svs,tumor,p1\n"
    cohort = read_cohort(
        written(folder, text), classes=("normal", "tumor"), files=False, every_class=False
    )
    assert cohort.labels.tolist() == [1]
