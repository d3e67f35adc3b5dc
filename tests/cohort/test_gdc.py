"""Manifests and sample sheets as the GDC's portal writes them; the slides are stand-ins."""

import pytest

from napari_hagmil.cohort import from_gdc, read_cohort, write_cohort
from napari_hagmil.cohort.tcga import patient_of, read_barcode
from napari_hagmil.errors import CohortError

#: id, filename, md5, size
FILES = {
    "kich": ("11aa", "TCGA-KL-8323-01Z-00-DX1.6f1e.svs", "m1", 4),
    "kirc": ("22bb", "TCGA-A3-3306-01Z-00-DX1.bfd3.svs", "m2", 4),
    "kirc2": ("33cc", "TCGA-A3-3306-01Z-00-DX2.9a1c.svs", "m3", 4),
    "kirp": ("44dd", "TCGA-A4-7288-01Z-00-DX1.77ef.svs", "m4", 4),
    "frozen": ("55ee", "TCGA-A4-7288-01A-01-TS1.0aa1.svs", "m5", 4),
    "normal": ("66ff", "TCGA-A3-3306-11A-01-BS1.0aa2.svs", "m6", 4),
}

OLD = "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\tSample Type"
NEW = (
    "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\tTissue Type\t"
    "Tumor Descriptor\tSpecimen Type\tPreservation Method"
)


def manifest(folder, *files):
    lines = ["id\tfilename\tmd5\tsize\tstate"]
    lines += ["\t".join(map(str, (*one, "released"))) for one in files]
    path = folder / "gdc_manifest.2026-01-01.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def sheet(folder, rows, header=OLD):
    """Write (file id, name, project, case) as a sample sheet."""
    lines = [header]
    for file_id, name, project, case in rows:
        tail = [f"{case}-01Z", "Primary Tumor"] + [""] * (header.count("\t") - 7)
        lines.append("\t".join([file_id, name, "Biospecimen", "Slide Image", project, case, *tail]))
    path = folder / "gdc_sample_sheet.2026-01-01.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def reasons(listing):
    return {one.name: one.reason for one in listing.left_out}


def test_only_diagnostic_slides_are_taken_labelled_by_disease(tmp_path):
    listing = from_gdc(manifest(tmp_path, *FILES.values()))
    assert [(r.label, r.patient) for r in listing.records] == [
        ("KICH", "TCGA-KL-8323"),
        ("KIRC", "TCGA-A3-3306"),
        ("KIRC", "TCGA-A3-3306"),
        ("KIRP", "TCGA-A4-7288"),
    ]
    assert reasons(listing) == {
        FILES["frozen"][1]: "it is a frozen section of the top, not a diagnostic slide",
        FILES["normal"][1]: "it is a frozen section of the bottom, not a diagnostic slide",
    }
    assert any("1 of 3 patients have several diagnostic slides" in n for n in listing.notes)


def test_without_slides_each_is_expected_where_gdc_client_puts_it(tmp_path):
    listing = from_gdc(manifest(tmp_path, FILES["kich"]))
    assert listing.records[0].path == tmp_path / "11aa" / FILES["kich"][1]


@pytest.mark.parametrize("header", [OLD, NEW])
def test_the_sample_sheet_says_the_project(tmp_path, header):
    file_id, name, *_ = FILES["kirc"]
    rows = [(file_id, name, "TCGA-KICH", "TCGA-A3-3306")]
    listing = from_gdc(manifest(tmp_path, FILES["kirc"]), sheet(tmp_path, rows, header))
    assert [record.label for record in listing.records] == ["KICH"]
    assert not any("source sites" in note for note in listing.notes)


def test_a_case_named_once_per_sample_is_one_case(tmp_path):
    file_id, name, *_ = FILES["kirc"]
    rows = [(file_id, name, "TCGA-KIRC, TCGA-KIRC", "TCGA-A3-3306, TCGA-A3-3306")]
    listing = from_gdc(manifest(tmp_path, FILES["kirc"]), sheet(tmp_path, rows))
    assert [(r.label, r.patient) for r in listing.records] == [("KIRC", "TCGA-A3-3306")]


def test_what_the_sheet_lacks_or_contradicts_is_left_out(tmp_path):
    kich, kirc, kirp = (FILES[name] for name in ("kich", "kirc", "kirp"))
    rows = [
        (kich[0], kich[1], "TCGA-KICH", "TCGA-KL-8323"),
        (kirc[0], kirc[1], "TCGA-KIRC", "TCGA-A3-9999"),
        ("77", "TCGA-A4-0000-01Z-00-DX1.x.svs", "TCGA-KIRP", "TCGA-A4-0000"),
    ]
    listing = from_gdc(manifest(tmp_path, kich, kirc, kirp), sheet(tmp_path, rows))
    assert [record.label for record in listing.records] == ["KICH"]
    assert "TCGA-A3-9999" in reasons(listing)[kirc[1]]
    assert "no row" in reasons(listing)[kirp[1]]
    assert any("TCGA-A4-0000" in problem.sentence() for problem in listing.problems)


def test_duplicates_are_left_out_each_with_its_kind(tmp_path):
    kich, kirc = FILES["kich"], FILES["kirc"]
    again = ("99aa", kirc[1], "m9", 4)
    copy = ("88aa", "TCGA-KL-8324-01Z-00-DX1.aaaa.svs", kich[2], 4)
    listing = from_gdc(manifest(tmp_path, kich, kich, kirc, again, copy))
    assert len(listing.records) == 2
    assert [one.reason for one in listing.left_out] == [
        "the manifest names it twice",
        "the manifest names two files like this",
        f"it is the same file as {kich[1]} (md5)",
    ]


def test_a_site_of_another_project_asks_for_the_sheet(tmp_path):
    brca = ("77", "TCGA-A2-A0CQ-01Z-00-DX1.4e5f.svs", "m7", 4)
    listing = from_gdc(manifest(tmp_path, FILES["kich"], brca))
    assert "give the sample sheet" in reasons(listing)[brca[1]]
    rows = [
        ("11aa", FILES["kich"][1], "TCGA-KICH", "TCGA-KL-8323"),
        ("77", brca[1], "TCGA-BRCA", "TCGA-A2-A0CQ"),
    ]
    both = from_gdc(manifest(tmp_path, FILES["kich"], brca), sheet(tmp_path, rows))
    assert [record.label for record in both.records] == ["KICH", "BRCA"]


def test_slides_are_found_as_gdc_client_leaves_them_and_in_one_folder(tmp_path):
    downloads = tmp_path / "slides"
    (downloads / "11aa" / "logs").mkdir(parents=True)
    (downloads / "11aa" / FILES["kich"][1]).write_text("1234")
    (downloads / FILES["kirc"][1]).write_text("1234")
    (downloads / FILES["kirp"][1]).write_text("12")
    (downloads / "33cc").mkdir()
    (downloads / "33cc" / f"{FILES['kirc2'][1]}.partial").write_text("12")
    some = [FILES[name] for name in ("kich", "kirc", "kirc2", "kirp")]
    listing = from_gdc(
        manifest(tmp_path, *some, ("9", "TCGA-KL-8325-01Z-00-DX1.b.svs", "m", 4)), slides=downloads
    )
    assert [record.path.parent.name for record in listing.records] == ["11aa", "slides"]
    assert reasons(listing) == {
        FILES["kirc2"][1]: "it is not downloaded whole",
        FILES["kirp"][1]: "it has 2 of 4 bytes; download it again",
        "TCGA-KL-8325-01Z-00-DX1.b.svs": "it is not in the folder",
    }
    assert any("gdc-client" in problem.sentence() for problem in listing.problems)


def test_the_table_reads_back(tmp_path):
    some = [FILES[name] for name in ("kich", "kirc", "kirc2", "kirp")]
    for file_id, name, *_ in some:
        (tmp_path / file_id).mkdir()
        (tmp_path / file_id / name).write_text("1234")
    listing = from_gdc(manifest(tmp_path, *some), slides=tmp_path)
    write_cohort(tmp_path / "cohort.csv", listing.records)
    cohort = read_cohort(tmp_path / "cohort.csv")
    assert cohort.records == listing.records
    assert cohort.classes == ("KICH", "KIRC", "KIRP")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'id'"),
        ("slide,label\na.svs,x\n", "no column 'id' and no 'filename'"),
        ("id\tfilename\n", "it is empty"),
        ("id\tfilename\n1\tnotes.txt\n", "barcode"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(tmp_path, text, said):
    path = tmp_path / "manifest.txt"
    path.write_text(text)
    with pytest.raises(CohortError, match=said):
        from_gdc(path)


@pytest.mark.parametrize(
    ("name", "patient", "kind", "sample", "project"),
    [
        ("TCGA-KL-8323-01Z-00-DX1.6f1e.svs", "TCGA-KL-8323", "DX", 1, "TCGA-KICH"),
        ("TCGA-05-4395-01Z-00-DX1.20205276-ca16.svs", "TCGA-05-4395", "DX", 1, "TCGA-LUAD"),
        ("TCGA-18-5592-01Z-00-DX1.tif", "TCGA-18-5592", "DX", 1, "TCGA-LUSC"),
        ("tcga-a3-3306-11a-01-tsa.svs", "TCGA-A3-3306", "TS", 11, "TCGA-KIRC"),
        ("TCGA-A2-A0CQ-06Z-00-DXA", "TCGA-A2-A0CQ", "DX", 6, None),
    ],
)
def test_a_barcode_is_read(name, patient, kind, sample, project):
    barcode = read_barcode(name)
    assert (barcode.patient, barcode.kind, barcode.sample) == (patient, kind, sample)
    assert barcode.project == project
    assert patient_of(name) == patient


@pytest.mark.parametrize(
    "name", ["", "normal_001.tif", "C3L-00001-21.svs", "TCGA-A3-3306.svs", "xTCGA-A3-3306-01Z"]
)
def test_other_names_have_no_barcode(name):
    assert read_barcode(name) is None
