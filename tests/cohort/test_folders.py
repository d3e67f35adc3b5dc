"""A folder per class; the slides are empty stand-ins."""

import pytest

from napari_hagmil.cohort import from_folders, read_cohort, write_cohort
from napari_hagmil.errors import CohortError


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def rows(listing):
    return {
        r.path.name: (r.label, r.patient, r.split, r.truth.name if r.truth else None)
        for r in listing.records
    }


def reasons(listing):
    return {one.name: one.reason for one in listing.left_out}


def test_a_folder_is_a_class_and_a_slide_its_own_patient(tmp_path):
    put(tmp_path, "normal/a.svs", "tumor/b.tiff", "tumor/b.geojson", "tumor/c.ndpi", "tumor/c.xml")
    listing = from_folders(tmp_path)
    assert rows(listing) == {
        "a.svs": ("normal", "a", None, None),
        "b.tiff": ("tumor", "b", None, "b.geojson"),
        "c.ndpi": ("tumor", "c", None, "c.xml"),
    }
    assert listing.left_out == ()
    assert "each stands as a patient of its own" in listing.notes[0]


def test_parts_above_the_classes_become_the_split(tmp_path):
    put(tmp_path, "Training/x/a.svs", "valid/x/b.svs", "test/y/c.svs", "train/y/d.svs")
    splits = {
        name: (label, split) for name, (label, _, split, _) in rows(from_folders(tmp_path)).items()
    }
    assert splits == {
        "a.svs": ("x", "train"),
        "b.svs": ("x", "val"),
        "c.svs": ("y", "test"),
        "d.svs": ("y", "train"),
    }


def test_a_folder_within_a_class_is_a_patient_and_a_barcode_names_one(tmp_path):
    put(
        tmp_path,
        "x/p1/a.svs",
        "x/p1/b.svs",
        "y/p2/TCGA-KL-8323-01Z-00-DX1.6f1e.svs",
        "y/TCGA-KL-8323-01Z-00-DX2.6f1f.svs",
    )
    listing = from_folders(tmp_path)
    patients = {record.path.name[:4]: record.patient for record in listing.records}
    assert patients == {"a.sv": "p1", "b.sv": "p1", "TCGA": "TCGA-KL-8323"}
    assert len({record.patient for record in listing.records}) == 2
    assert listing.notes == ()


def test_slides_named_alike_are_told_apart_and_stay_two_patients(tmp_path):
    put(tmp_path, "x/1.svs", "y/1.svs", "y/2.svs")
    names = {record.name: record.patient for record in from_folders(tmp_path).records}
    assert names == {"x-1": "x-1", "y-1": "y-1", "2": "2"}


def test_folders_that_are_slides_or_belong_to_one_are_no_classes(tmp_path):
    put(
        tmp_path,
        "x/a.zarr/zarr.json",
        "x/dicom/1.dcm",
        "y/b.mrxs",
        "y/b/Data0001.dat",
        "y/.hidden/c.svs",
    )
    listing = from_folders(tmp_path)
    assert [(r.path.name, r.label) for r in listing.records] == [
        ("a.zarr", "x"),
        ("dicom", "x"),
        ("b.mrxs", "y"),
    ]
    assert listing.left_out == ()


def test_what_is_left_out_is_named_with_the_reason(tmp_path):
    put(tmp_path, "a.svs", "train/x/b.svs", "train/c.svs", "other/y/d.svs", "train/y/notes.txt")
    assert reasons(from_folders(tmp_path)) == {
        "a.svs": "it lies in no class's folder",
        "train/c.svs": "it lies in train, but in no class's folder there",
        "other/y/d.svs": "it lies beside the folders of train, val and test, not in one",
        "train/y/notes.txt": ".txt is not of a slide",
    }


def test_a_patient_in_two_parts_and_a_class_alone_are_problems(tmp_path):
    put(tmp_path, "train/x/p/a.svs", "test/x/p/b.svs")
    sentences = [problem.sentence() for problem in from_folders(tmp_path).problems]
    assert any("Patient p must not have slides in two parts" in s for s in sentences)
    assert any("two classes" in s for s in sentences)


def test_a_loop_of_links_ends(tmp_path):
    put(tmp_path, "x/a.svs", "y/b.svs")
    (tmp_path / "x" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(from_folders(tmp_path).records) == 2


def test_the_table_reads_back(tmp_path):
    put(tmp_path, "x/p1/a.svs", "y/b.svs", "y/b.geojson")
    listing = from_folders(tmp_path)
    write_cohort(tmp_path / "cohort.csv", listing.records)
    assert read_cohort(tmp_path / "cohort.csv").records == listing.records


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(CohortError, match="no classes with slides"):
        from_folders(tmp_path)
    put(tmp_path, "a.svs")
    with pytest.raises(CohortError, match="no classes with slides"):
        from_folders(tmp_path)
    with pytest.raises(CohortError, match="not a folder"):
        from_folders(tmp_path / "nowhere")
