"""What is planted in slides, names and folders is in no byte that a verb writes or says."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

import made_slides as made
import planted_slides as planted
import pytest
import tifffile

from napari_hagmil.cli import main
from napari_hagmil.cli.parser import VERBS
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import OutputError
from napari_hagmil.export.pseudonyms import Pseudonyms, is_pseudonym, own_key
from napari_hagmil.review import Conclusion, open_sitting
from napari_hagmil.session.cohort.decisions import nameless, write_decisions
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.slide import open_slide
from planted import PLANTED, found_in, planted_in


@pytest.fixture(scope="module")
def levels(phantom):
    with tifffile.TiffFile(phantom) as tiff:
        return made.halved(tiff.series[0].levels[1].asarray()[:1024, :1024], (1, 2, 4))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))


@dataclass(frozen=True)
class Place:
    """A folder whose name is planted, with slides, a table of them, a model, and room to write."""

    root: Path
    slides: list[Path]
    table: Path
    model: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    def words(self, line: str) -> list[str]:
        """A command's words, with paths for the names in it."""
        names = {"SLIDE": self.slides[0], "TABLE": self.table, "MODEL": self.model}
        names |= {
            "FOLDER": self.slides[0].parent,
            "OUT": self.out,
            "PARTS": self.root / "parts.csv",
        }
        return [
            str(names[head]) + (f"/{rest}" if rest else "") if head in names else word
            for word in line.split()
            for head, _, rest in [word.partition("/")]
        ]


@pytest.fixture
def place(tmp_path, levels, scratch_bundle):
    def make(kind, n=1):
        root = tmp_path / f"of {PLANTED[1]}"
        # Of several slides, each is a few patches.
        pixels = levels if n == 1 else [level[: len(level) // 2] for level in levels]
        slides = [planted.plant(root, kind, pixels, i) for i in range(n)]
        table = root / f"{PLANTED[2]}.csv"
        rows = [
            f"{slide.relative_to(root)},{('normal', 'tumor')[i % 2]},{PLANTED[0]}-{i},,"
            for i, slide in enumerate(slides)
        ]
        table.write_text("\n".join(["slide,label,patient,split,name", *rows]), encoding="utf-8")
        model = root / "scratch.hagmil"
        shutil.copytree(scratch_bundle, model)
        (root / "out").mkdir()
        return Place(root, slides, table, model)

    return make


#: Verbs that write or say something of slides, as commands that can follow each other.
ANALYSIS = (
    "info SLIDE --mpp 0.25",
    "info SLIDE --mpp 0.25 --json --check",
    "analyze SLIDE --out OUT/a --model MODEL --mpp 0.25 --quality",
    "analyze SLIDE --out OUT/a --model MODEL --mpp 0.25 --quality --json",
    "quality SLIDE --out OUT/q --mpp 0.25",
    "pyramid SLIDE OUT/p.tiff --mpp 0.25",
    "pyramid SLIDE OUT/p.zarr --mpp 0.25",
    "export annotations OUT/a OUT/a.geojson",
    "export annotations OUT/a OUT/a.xml",
    "export annotations OUT/a OUT/a.csv --json",
    "export tiles OUT/a OUT/tiles.geojson",
    "export crops SLIDE OUT/a --out OUT/crops --mpp 0.25",
    "export crops SLIDE OUT/a --out OUT/tiffs --mpp 0.25 --as ome-tiff",
    "export spatialdata OUT/a OUT/s.zarr",
    "verify OUT/a",
)
DICOM = (
    "analyze SLIDE --out OUT/a --model MODEL --mpp 0.5",
    "export attention OUT/a SLIDE OUT/attention.dcm",
    "export annotations OUT/a OUT/a.dcm --slide SLIDE",
)
COHORT = (
    "encode TABLE --store OUT/store --depths 1,0.5 --mpp 0.25 --device cpu",
    "features export OUT/store --as clam --out OUT/clam",
    "features import TABLE --store OUT/imported --from clam --features OUT/clam/h5_files "
    "--encoder efficientnet-lite0",
    "predict TABLE --store OUT/store --model MODEL --out OUT/predicted",
    "evaluate TABLE --store OUT/store --model MODEL --out OUT/evaluated --split all",
    "train TABLE --store OUT/store --out OUT/trained --config OUT/short.toml",
    "protocol TABLE --store OUT/store --out OUT/protocol --config OUT/short.toml",
    "tables join OUT/protocol --out OUT/joined",
    "calibrate PARTS --store OUT/store --model MODEL --out OUT/calibrated.hagmil",
    "batch TABLE --out OUT/run --model MODEL --mpp 0.25 --prepare",
    "run-one OUT/run NAME",
    "batch FOLDER --out OUT/run2 --model MODEL --mpp 0.25 --features OUT/store --workers 1",
    "batch TABLE --out OUT/run --model MODEL --mpp 0.25 --workers 1 --json",
    "status OUT/run",
    "status OUT/run --json",
    "verify OUT/run",
)
#: In a window; with reviews, below; and what needs weights that are not the package's, and has
#: the ways of `quality`.
ELSEWHERE = ("view", "cohort agree", "epithelium")


def run(place, line, capfd):
    status = main([*place.words(line), "--pseudonymise"])
    said = "".join(capfd.readouterr())
    assert status in (0, 3), f"{line}: {said}"
    assert planted_in(said.encode()) == [], f"{line}: {said}"
    # The table of a run holds paths; it is private, and part of no export.
    hidden = {one: what for one, what in found_in(place.out).items() if "table.parquet" not in one}
    assert hidden == {}, line


def test_every_verb_has_the_option_or_says_why_not():
    has = {verb.name for verb in VERBS if not verb.says_names}
    tested = {
        verb.name
        for verb in VERBS
        if any(line.startswith(f"{verb.name} ") for line in (*ANALYSIS, *DICOM, *COHORT))
    }
    assert tested | set(ELSEWHERE) == has
    for verb in VERBS:
        options = getattr(verb.options, "__dataclass_fields__")  # noqa: B009
        assert ("pseudonymise" in options) == (not verb.says_names), verb.name


def test_every_path_among_the_options_has_what_stands_in_for_it():
    bare = {
        (verb.name, each.name)
        for verb in VERBS
        for each in fields(verb.options)
        if each.metadata["settings"].get("type") is Path and not each.metadata["place"]
        if not verb.says_names
    }
    # Its folder is shown in the window, and opened slide by slide.
    assert bare == {("view", "cohort")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["svs", "ome", "ndpi"])
def test_no_verb_of_one_slide_says_what_was_planted(place, kind, capfd, monkeypatch):
    here = place(kind)
    monkeypatch.chdir(here.root)
    lines = ANALYSIS if kind == "svs" else ANALYSIS[1:3]
    for line in lines:
        # Its extra is a large one; what it writes is of a result that names no slide.
        if "spatialdata" not in line or find_spec("spatialdata"):
            run(here, line, capfd)
    name = Pseudonyms.own().slide(here.slides[0]).name
    assert name in (here.out / "a" / "result.json").read_text()


@pytest.mark.slow
def test_no_export_of_a_dicom_slide_says_what_was_planted(place, capfd):
    pytest.importorskip("wsidicom")
    pytest.importorskip("highdicom")
    pydicom = pytest.importorskip("pydicom")
    here = place("dicom")
    for line in DICOM:
        run(here, line, capfd)
    made = pydicom.dcmread(here.out / "attention.dcm")
    assert is_pseudonym(str(made.PatientID))
    # An instance of the folder gives the same slide.
    info = ["info", str(here.slides[0] / "level-0.dcm"), "--pseudonymise"]
    assert main(info) == 0
    assert planted_in("".join(capfd.readouterr()).encode()) == []


SHORT = """
[protocol]
scheme = "holdout"
repeats = 1

[defaults]
epochs = 1
instance_loss = "none"

[[method]]
name = "mean pooling"
model = "mean_pooling"
options = { hidden = 8 }
"""


@pytest.mark.slow
def test_no_verb_of_a_cohort_says_what_was_planted(place, capfd):
    here = place("ome", 6)
    (here.out / "short.toml").write_text(SHORT)
    rows = here.table.read_text().splitlines()
    for i, part in enumerate(("train", "train", "val", "val", "test", "test")):
        rows[i + 1] = rows[i + 1].replace(",,", f",{part},")
    (here.root / "parts.csv").write_text("\n".join(rows))
    name = Pseudonyms.own().slide(here.slides[0]).stem
    for line in COHORT:
        run(here, line.replace("NAME", name), capfd)


@pytest.mark.slow
def test_what_is_kept_on_disk_names_no_slide_even_without_the_option(place, capfd, monkeypatch):
    """Caches outlive results: `cache` has no option, since there is nothing to hide."""
    here = place("svs")
    kept = here.root.parent / "kept"
    monkeypatch.setenv("HAGMIL_CACHE", str(kept))
    monkeypatch.setenv("HAGMIL_FEATURES_GB", "1")
    assert main(here.words("analyze SLIDE --out OUT/a --model MODEL --mpp 0.25")) in (0, 3)
    assert any(one.is_file() for one in (kept / "features").rglob("*"))
    capfd.readouterr()
    for words in (["cache"], ["cache", "--json"], ["cache", "--clear"]):
        assert found_in(kept) == {}
        assert main(words) == 0
    assert planted_in("".join(capfd.readouterr()).encode()) == []


@pytest.mark.slow
def test_the_search_finds_what_is_planted(place, capfd):
    """Without the option the slide's name is there, and the search sees it."""
    here = place("ome")
    assert main(here.words(ANALYSIS[2])) == 0
    assert set(found_in(here.out)) >= {"out/a/result.json", "out/a/report.html"}
    capfd.readouterr()
    assert main([*here.words("export tiles OUT/a OUT/t.geojson"), "--pseudonymise"]) == 1
    assert "names its slides; make it again" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no slide", b"II*\0\x08\0\0\0\0\0", None])
def test_errors_hold_nothing_of_it_either(tmp_path, capfd, content):
    slide = tmp_path / PLANTED[4] / f"{PLANTED[1]}.svs"
    slide.parent.mkdir()
    if content is not None:
        slide.write_bytes(content)
    for verb in ("analyze", "info", "batch"):
        out = [] if verb == "info" else ["--out", str(tmp_path / PLANTED[2] / "out")]
        assert main([verb, str(slide), *out, "--pseudonymise"]) in (1, 3)
        said = "".join(capfd.readouterr())
        assert "slide-" in said or "1 thing is wrong with it" in said
        assert planted_in(said.encode()) == []


def test_a_traceback_holds_nothing_of_it(tmp_path, capfd):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        main(["info", str(tmp_path / f"{PLANTED[1]}.svs"), "--pseudonymise", "--debug"])
    text = "".join(traceback.format_exception(raised.value))
    assert planted_in(text.encode()) == []


def test_a_table_that_cannot_be_used_is_not_quoted(tmp_path, capfd):
    table = tmp_path / "t.csv"
    table.write_text(f"slide,name\na.svs,{PLANTED[1]}/\nb.svs,{PLANTED[2]}:\n")
    words = ["batch", str(table), "--out", str(tmp_path / "out"), "--pseudonymise"]
    assert main(words) == 1
    said = capfd.readouterr().err
    assert "2 things are wrong with it; see napari-hagmil cohort check" in said
    assert planted_in(said.encode()) == []


def test_a_pseudonym_is_the_same_with_one_key_and_another_with_another(tmp_path):
    path = tmp_path / "case 7.svs"
    keys = [own_key(tmp_path / name) for name in ("a", "a", "b")]
    names = [Pseudonyms(key, tmp_path / "links").slide(path).name for key in keys]
    assert names[0] == names[1] != names[2]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "links").stat().st_mode & 0o777 == 0o700
    elsewhere = Pseudonyms(keys[0], tmp_path / "links").slide(tmp_path / "other" / "case 7.svs")
    assert elsewhere.name == names[0]
    assert elsewhere.parent.name not in (path.parent.name, "other")


def test_a_slide_has_one_pseudonym_alone_in_a_table_and_in_a_folder(tmp_path):
    pseudonyms = Pseudonyms(bytes(32), tmp_path / "links")
    path = tmp_path / "case 7.svs"
    alone = pseudonyms.slide(path)
    assert pseudonyms.record(SlideRecord(path, "", "case 7")).path == alone
    record = pseudonyms.record(SlideRecord(path, "", "Doe", name="case 7"))
    assert (record.name, record.path) == (alone.stem, alone)
    assert record.patient.startswith("patient-")
    assert pseudonyms.record(SlideRecord(path, "", "Doe", name="other")).name != alone.stem
    assert pseudonyms.slide(alone) == alone


def test_what_must_lie_beside_a_slide_does(tmp_path):
    pseudonyms = Pseudonyms(bytes(32), tmp_path / "links")
    for name in ("x.mrxs", "x/Slidedat.ini", "y.dcm", "z.dcm", "v.vms", "v.opt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    mirax = pseudonyms.slide(tmp_path / "x.mrxs")
    assert (mirax.with_suffix("") / "Slidedat.ini").read_text() == "x/Slidedat.ini"
    instance = pseudonyms.slide(tmp_path / "y.dcm")
    assert {one.read_text() for one in instance.parent.glob("*.dcm")} == {"y.dcm", "z.dcm"}
    hamamatsu = pseudonyms.slide(tmp_path / "v.vms")
    assert (hamamatsu.parent / "v.opt").read_text() == "v.opt"


def test_files_named_after_slides_are_found_by_their_pseudonyms(tmp_path):
    pseudonyms = Pseudonyms(bytes(32), tmp_path / "links")
    folder = tmp_path / "features"
    for name in ("a.h5", "deep/b.pt", "slide-aaaaaaaaaaaaaaaa.zarr/zarr.json", "other.h5"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    stand_in = pseudonyms.named(folder, {"a": "slide-x", "b": "slide-y"})
    assert sorted(one.name for one in stand_in.iterdir()) == [
        "deep", "slide-aaaaaaaaaaaaaaaa.zarr", "slide-x.h5",
    ]  # fmt: skip
    assert [one.name for one in (stand_in / "deep").iterdir()] == ["slide-y.pt"]
    assert (stand_in / "slide-aaaaaaaaaaaaaaaa.zarr" / "zarr.json").is_file()


def test_decisions_and_readers_of_a_cohort_are_told_by_pseudonyms(place, capfd):
    here = place("ome", 2)
    for slide in here.slides:
        with open_slide(slide) as opened:
            fingerprint = opened.fingerprint
        for reader, said in (("Ada", "tumor"), ("Ben", "normal")):
            sitting = open_sitting(slide, fingerprint, reader=reader)
            sitting.change("conclude", conclusion=Conclusion(said, ""))
            sitting.close()
    for source in (here.table, here.slides[0].parent):
        words = ["cohort", "agree", str(source), "--out", str(here.out / source.stem[:1])]
        assert main([*words, "--pseudonymise"]) in (0, 3)
        assert planted_in("".join(capfd.readouterr()).encode()) == []
    entries = [CohortEntry(slide.stem, slide, PLANTED[0]) for slide in here.slides]
    assert write_decisions(here.out / "all.csv", nameless(entries), "C").unreviewed == 0
    assert nameless(nameless(entries)) == nameless(entries)
    assert found_in(here.out) == {}
    assert (here.out / "all.csv").read_text().count("slide-") >= 4


def test_where_no_link_can_be_made_a_sentence_says_so(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(OutputError, match="allow links for your account") as raised:
        Pseudonyms(bytes(32), tmp_path / "links").slide(tmp_path / f"{PLANTED[1]}.svs")
    assert planted_in(str(raised.value).encode()) == []
