"""Every kind of file that labs have: described, checked, read right, and analysed or refused."""

from __future__ import annotations

import json

import numpy as np
import odd_slides as odd
import pytest

from napari_hagmil.cli import main
from napari_hagmil.geometry import Region
from napari_hagmil.slide import open_slide, read_region


@pytest.fixture(scope="module")
def pixels(he_pixels: np.ndarray) -> np.ndarray:
    return he_pixels[700:1800, 500:1400].copy()


@pytest.mark.parametrize("name", odd.READ)
def test_every_level_is_read_as_another_decoder_reads_it(name, pixels, tmp_path, capsys) -> None:
    write, allowed = odd.READ[name]
    expected = write(tmp_path / name, pixels)
    with open_slide(tmp_path / name) as slide:
        assert [level.shape for level in slide.levels] == [e.shape[:2] for e in expected]
        for level, picture in zip(slide.levels, expected, strict=True):
            for y, x, h, w in (0, 0, *level.shape), *places(level.shape):
                got = slide.read(level.index, (y, x), (h, w)).astype(float)
                np.testing.assert_allclose(got, picture[y : y + h, x : x + w], atol=allowed)
        part = read_region(slide, Region(301, 203, 97, 155))
        np.testing.assert_allclose(part.astype(float), expected[0][301:398, 203:358], atol=allowed)
    assert main(["info", str(tmp_path / name), "--check", "--json"]) == 0
    levels = json.loads(capsys.readouterr().out)["levels"]
    assert [tuple(level["shape"]) for level in levels] == [e.shape[:2] for e in expected]
    assert all(level["tiles"]["unread"] == 0 for level in levels)
    assert sum(level["tiles"]["absent"] for level in levels) == (5 if "sparse" in name else 0)


@pytest.mark.slow
def test_an_ndpi_of_more_than_65535_strips_is_read_to_its_end(pixels, tmp_path) -> None:
    expected = odd.ndpi(tmp_path / "a.ndpi", np.tile(pixels[:1024, :768], (9, 6, 1)))
    with open_slide(tmp_path / "a.ndpi") as slide:
        rows, columns = slide.reader.facts.grids[0].n_tiles
        assert rows * columns > 2**16
        for level, picture in zip(slide.levels, expected, strict=True):
            height, width = level.shape
            for y, x in ((0, 0), (height - 333, width - 555), (height // 2 + 3, 77)):
                got = slide.read(level.index, (y, x), (333, 555))
                np.testing.assert_array_equal(got, picture[y : y + 333, x : x + 555])


def places(shape: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """First row and column, rows and columns, of rectangles off the grid."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(4):
        h, w = (int(rng.integers(1, min(side, 400))) for side in shape)
        found.append((int(rng.integers(shape[0] - h)), int(rng.integers(shape[1] - w)), h, w))
    return found


@pytest.mark.parametrize("name", odd.REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(name, pixels, tmp_path, capsys) -> None:
    write, says = odd.REFUSED[name]
    write(tmp_path / name, pixels)
    for verb in (["info"], ["analyze", "--out", str(tmp_path / "out"), "--mpp", "0.5"]):
        assert main([verb[0], str(tmp_path / name), *verb[1:]]) == 1
        said = capsys.readouterr().err.strip()
        assert said.startswith(f"napari-hagmil: {name} ")
        assert says in said
        assert "\n" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["multiplex.qptiff", "channels.ome.tif", "grey-16.tif"])
def test_what_is_no_brightfield_opens_and_the_cascade_says_so(
    name, pixels, tmp_path, capsys
) -> None:
    odd.READ[name][0](tmp_path / name, pixels)
    assert main(["info", str(tmp_path / name)]) == 0
    out = ["--out", str(tmp_path / "out"), "--mpp", "0.5"]
    capsys.readouterr()
    assert main(["analyze", str(tmp_path / name), *out]) == 1
    assert "the cascade needs RGB brightfield" in capsys.readouterr().err


ANALYSED = (
    *("sparse.svs", "hamamatsu.ndpi", "steps-of-3-and-7.tif", "one-strip.tif", "palette.png"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ANALYSED)
def test_a_cascade_runs_on_every_kind(name, pixels, tmp_path) -> None:
    odd.READ[name][0](tmp_path / name, pixels)
    out = tmp_path / "out"
    assert main(["analyze", str(tmp_path / name), "--out", str(out), "--mpp", "0.5"]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["state"] == "done"
    assert sum(stage["unread"] for stage in result["stages"]) == 0


def test_other_scans_and_planes_are_named_as_not_shown(pixels, tmp_path) -> None:
    odd.scn_collection(tmp_path / "a.scn", pixels)
    with open_slide(tmp_path / "a.scn") as slide:
        assert slide.warnings == ("a.scn holds more than is shown: another scan of 600×500 pixels",)
    stack = np.stack([pixels, pixels // 2, pixels // 3])
    odd.write_pages(tmp_path / "a.tif", [{"data": p, "tile": (256, 256)} for p in stack])
    with open_slide(tmp_path / "a.tif") as slide:
        assert "a.tif holds more than is shown: 2 more pictures of the same size" in slide.warnings
        np.testing.assert_array_equal(slide.read(0, (0, 0), slide.shape), pixels)
