"""What is planted in a slide's names and fields is in no byte of a pseudonymised analysis."""

from __future__ import annotations

import shutil
from pathlib import Path

import dicom_slides
import made_slides as made
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from napari_hagmil.cli import main
from napari_hagmil.export.pseudonyms import Pseudonym, own_key

#: Names, a barcode, a date and folders, none of which any program writes by itself.
PLANTED = ("Doe^Jane", "Jane Doe", "BC-4711-XY", "19501224", "St-Elsewhere", "H2026-0815")
FIELDS = "|".join(f"Field{i} = {text}" for i, text in enumerate(PLANTED))


@pytest.fixture(scope="module")
def levels(phantom):
    with tifffile.TiffFile(phantom) as tiff:
        return made.halved(tiff.series[0].levels[1].asarray(), (1, 2, 4))


def aperio(path, levels):
    tags = [(315, 2, 0, PLANTED[1], True), (316, 2, 0, PLANTED[4], True)]
    with tifffile.TiffWriter(path) as tiff:
        for i, level in enumerate(levels):
            said = f"Aperio Image Library\r\n{level.shape}|AppMag = 40|MPP = 0.25|{FIELDS}"
            options = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb"}
            tiff.write(level, description=said, metadata=None, extratags=tags, **options)
            if i == 0:
                tiff.write(level[::8, ::8].copy(), photometric="rgb", metadata=None)
        label = levels[0][:90, :80].copy()
        tiff.write(label, photometric="rgb", subfiletype=1, description="label " + FIELDS)
    return path


def ome_tiff(path, levels):
    made.write_ome_tiff(path, levels)
    said = tifffile.tiffcomment(path)
    person = f'<Experimenter UserName="{FIELDS}"/><Image '
    tifffile.tiffcomment(path, said.replace("<Image ", person).encode())
    return path


def dicom(path, levels):
    import pydicom

    dicom_slides.write_dicom(path, levels)
    for file in sorted(path.iterdir()):
        instance = pydicom.dcmread(file)
        instance.PatientName, instance.PatientID = PLANTED[0], PLANTED[2]
        instance.PatientBirthDate, instance.InstitutionName = PLANTED[3], PLANTED[4]
        instance.ContainerIdentifier, instance.AccessionNumber = PLANTED[2], PLANTED[5]
        instance.save_as(file)
    return path


FORMATS = {"svs": (aperio, ".svs"), "ome": (ome_tiff, ".ome.tif"), "dicom": (dicom, "")}


def texts_of(folder: Path):
    """Every byte of every file, and what is packed in them."""
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), str(path.relative_to(folder)).encode()
        if path.is_file():
            yield path.name, path.read_bytes()
        if path.suffix == ".png":
            with Image.open(path) as picture:
                yield path.name, repr((picture.info, getattr(picture, "text", ""))).encode()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path.name, repr((table.schema.metadata, table.to_pydict())).encode()


def planted_in(content: bytes):
    low = content.lower()
    return [
        word
        for word in PLANTED
        if any(word.lower().encode(code) in low for code in ("utf-8", "utf-16-le", "utf-16-be"))
    ]


@pytest.fixture
def case(tmp_path, levels, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))

    def make(kind):
        write, ending = FORMATS[kind]
        folder = tmp_path / PLANTED[4] / PLANTED[1]
        folder.mkdir(parents=True)
        return write(folder / f"{PLANTED[5]} {PLANTED[3]}{ending}", levels)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_no_byte_of_an_analysis_holds_what_was_planted(case, kind, scratch_bundle, tmp_path, capfd):
    if kind == "dicom":
        pytest.importorskip("wsidicom")
    slide, out = case(kind), tmp_path / "out"
    words = ["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)]
    words += ["--mpp", "0.25", "--pseudonymise"]
    assert main(words) == 0
    said = "".join(capfd.readouterr())
    found = {name: planted_in(content) for name, content in texts_of(out)}
    found["terminal"] = planted_in(said.encode())
    assert {name: words for name, words in found.items() if words} == {}
    name = Pseudonym(slide, own_key()).name
    assert name in (out / "result.json").read_text()
    assert name in said


@pytest.mark.slow
def test_the_search_finds_what_is_planted(case, scratch_bundle, tmp_path):
    """Without the option the slide's name is there, and the search sees it."""
    slide, out = case("ome"), tmp_path / "out"
    words = ["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)]
    assert main([*words, "--mpp", "0.25"]) == 0
    assert any(planted_in(content) for _, content in texts_of(out))


@pytest.mark.parametrize("content", [b"", b"no slide", b"II*\0\x08\0\0\0\0\0"])
def test_errors_hold_nothing_of_it_either(tmp_path, monkeypatch, capfd, content):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    slide = tmp_path / PLANTED[4] / f"{PLANTED[1]}.svs"
    slide.parent.mkdir()
    slide.write_bytes(content)
    words = ["analyze", str(slide), "--out", str(tmp_path / "out"), "--pseudonymise"]
    for path in (slide, slide.with_name(f"{PLANTED[5]}.svs")):
        words[1] = str(path)
        assert main(words) == 1
        said = "".join(capfd.readouterr())
        assert Pseudonym(path, own_key()).name in said
        assert planted_in(said.encode()) == []


def test_a_pseudonym_is_the_same_with_one_key_and_another_with_another(tmp_path):
    path = tmp_path / "case 7.svs"
    keys = [own_key(tmp_path / name) for name in ("a", "a", "b")]
    names = [Pseudonym(path, key).name for key in keys]
    assert names[0] == names[1] != names[2]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    assert Pseudonym(tmp_path / "other" / "case 7.svs", keys[0]).name == names[0]
