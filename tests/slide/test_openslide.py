"""Formats that only OpenSlide reads: what is sent there, and what it is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_slides as made
import numpy as np
import pytest
import tifffile
import vendor_slides as vendor
from PIL import Image

from napari_hagmil.errors import MissingExtraError, SlideFormatError
from napari_hagmil.slide import Slide, SlideSpec, open_slide, slide_info
from napari_hagmil.slide.formats import openslide

HEADS = {
    "a.vms": b"[Virtual Microscope Specimen]\nNoLayers=1\n",
    "a.vmu": b"[Uncompressed Virtual Microscope Specimen]\n",
    "a.czi": b"ZISRAWFILE" + bytes(200),
    "a.svslide": b"SQLite format 3\0" + bytes(200),
    "a.mrxs": b"\xff\xd8\xff\xe0" + bytes(200),
}


def ventana(path: Path) -> Path:
    """As tifffile knows a BIF: XMP, and Ventana's software."""
    pixels = np.zeros((256, 256, 3), np.uint8)
    xmp = b"<iScan Magnification='40'/>"
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        tile=(128, 128),
        description="Label Image",
        software="ScanOutputManager 1.1",
        extratags=[(700, 1, len(xmp), xmp, True)],
        metadata=None,
    )
    return path


@pytest.mark.parametrize("name", [*HEADS, "a.bif"])
def test_without_openslide_the_pip_command_is_named(tmp_path, monkeypatch, name) -> None:
    path = tmp_path / name
    if name == "a.bif":
        ventana(path)
    else:
        path.write_bytes(HEADS[name])
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'napari-hagmil\[openslide\]'") as why:
        open_slide(path)
    assert str(why.value).startswith(f"{name} needs OpenSlide (a ")


@pytest.mark.parametrize("name", [*HEADS, "a.bif"])
def test_what_openslide_cannot_read_is_one_sentence(tmp_path, name) -> None:
    pytest.importorskip("openslide", reason="the extra openslide is not installed")
    path = tmp_path / name
    if name == "a.bif":
        ventana(path)
    else:
        path.write_bytes(HEADS[name])
    with pytest.raises(SlideFormatError, match="not a slide that OpenSlide can read") as why:
        open_slide(path)
    assert "\n" not in str(why.value)


def test_a_hamamatsu_vms_is_read(he_pixels, tmp_path) -> None:
    """Written here: a key file, a JPEG with restart markers, a map."""
    pytest.importorskip("openslide")
    path = made.write_vms(tmp_path / "made.vms", he_pixels[:1024, :1024])
    with open_slide(path) as slide:
        info = slide_info(slide)
        assert (info["backend"], info["vendor"]) == ("openslide", "hamamatsu")
        assert "VMS" in info["backend_reason"]
        assert slide.shape == (1024, 1024)
        got = slide.read(0, (200, 300), (256, 256)).astype(int)
    assert np.abs(got - he_pixels[200:456, 300:556]).mean() < 3  # one JPEG generation


@pytest.fixture(scope="module")
def scan(he_pixels: np.ndarray) -> list[np.ndarray]:
    """What 3×4 overlapping tiles cover, at two levels."""
    return made.halved(he_pixels[700:1436, 500:1476], (1, 2))


WRITERS = {
    "a.mrxs": (vendor.write_mrxs, "mirax", "a 3DHistech MIRAX"),
    "a.bif": (vendor.write_bif, "ventana", "a Ventana BIF whose tiles overlap"),
    "a.czi": (vendor.write_czi, "zeiss", "a Zeiss CZI"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_vendors_slides_are_stitched_with_their_size_and_objective(scan, tmp_path, name) -> None:
    """Their tiles overlap: a reader that lays them edge to edge shows tissue twice."""
    pytest.importorskip("openslide")
    write, maker, reason = WRITERS[name]
    with open_slide(write(tmp_path / name, scan)) as slide:
        info = slide_info(slide)
        assert (info["backend"], info["vendor"]) == ("openslide", maker)
        assert info["backend_reason"] == reason
        assert (slide.mpp, slide.mpp_source, slide.objective) == (0.5, "OpenSlide mpp", 20)
        assert [level.shape for level in slide.levels] == [p.shape[:2] for p in scan]
        for level, picture in enumerate(scan):
            got = slide.read(level, (0, 0), picture.shape[:2])
            np.testing.assert_array_equal(got, picture)


@pytest.mark.parametrize("name", WRITERS)
def test_a_vendors_slide_without_openslide_names_the_pip_command(
    scan, tmp_path, monkeypatch, name
) -> None:
    write, _, reason = WRITERS[name]
    path = write(tmp_path / name, scan)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingExtraError) as why:
        open_slide(path)
    assert str(why.value) == (
        f"{name} needs OpenSlide ({reason}), which is not installed; "
        "run: pip install 'napari-hagmil[openslide]'"
    )


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_the_empty_canvas_around_a_mirax_is_not_the_slide(scan, tmp_path, empty) -> None:
    """The scan begins at another place on its canvas, and at the same place of the slide."""
    pytest.importorskip("openslide")
    path = vendor.write_mrxs(tmp_path / "a.mrxs", scan, empty)
    with open_slide(path) as slide:
        canvas = slide.reader._slide
        assert canvas.dimensions[1] == scan[0].shape[0] + 2 * empty * vendor.ADVANCE
        assert int(canvas.properties.get("openslide.bounds-x", 0)) == empty * vendor.ADVANCE
        np.testing.assert_array_equal(slide.read(0, (90, 70), (300, 400)), scan[0][90:390, 70:470])


def test_a_mirax_whose_pixels_changed_is_another_slide(scan, tmp_path) -> None:
    """Pixels lie beside the .mrxs, and OpenSlide's own hash is of the coarsest level only."""
    pytest.importorskip("openslide")
    path = vendor.write_mrxs(tmp_path / "a.mrxs", scan)
    with open_slide(path) as slide:
        before = slide.fingerprint
    vendor.spoil_first_tile(path)
    with open_slide(path) as slide:
        assert slide.fingerprint != before


@pytest.mark.parametrize("missing", ["Data0000.dat", "Slidedat.ini", "Index.dat", None])
def test_a_mirax_without_its_companions_is_one_sentence(scan, tmp_path, missing) -> None:
    pytest.importorskip("openslide")
    path = vendor.write_mrxs(tmp_path / "a.mrxs", scan)
    if missing is None:
        path.with_suffix("").rename(tmp_path / "elsewhere")
    else:
        (path.with_suffix("") / missing).unlink()
    with pytest.raises(SlideFormatError, match="give it with all of its companion files") as why:
        open_slide(path)
    assert str(why.value).startswith("a.mrxs is not a slide that OpenSlide can read (")


@pytest.mark.parametrize(
    ("kind", "named"), [({"pixel_type": 0}, "GRAY8"), ({"compression": 4}, "JPEG XR")]
)
def test_a_czi_that_openslide_cannot_decode_is_one_sentence(scan, tmp_path, kind, named) -> None:
    """Fluorescence, and the compression that Zeiss sets by default, are beyond OpenSlide 4.0."""
    pytest.importorskip("openslide")
    path = vendor.write_czi(tmp_path / "a.czi", scan, **kind)
    with pytest.raises(SlideFormatError, match=named) as why:
        open_slide(path)
    assert str(tmp_path) not in str(why.value)


class Canvas:
    """An OpenSlide handle over an array, scanned in a part of it: what MIRAX looks like."""

    def __init__(self, pixels: np.ndarray, bounds: tuple[int, int, int, int] | None) -> None:
        self.pixels = pixels
        self.levels = made.halved(pixels, (1, 2))
        self.level_dimensions = [level.shape[1::-1] for level in self.levels]
        self.dimensions = self.level_dimensions[0]
        self.level_downsamples = (1.0, 2.0)
        self.associated_images = {"macro": None, "label": None}
        self.properties = {"openslide.vendor": "mirax", "openslide.objective-power": "20"}
        self.properties |= {f"openslide.mpp-{axis}": "0,25" for axis in "xy"}
        if bounds is not None:
            names = ("y", "x", "height", "width")
            self.properties |= {
                f"openslide.bounds-{n}": str(v) for n, v in zip(names, bounds, strict=True)
            }

    def read_region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Any:
        x, y = (p // 2**level for p in place)
        part = self.levels[level][y : y + size[1], x : x + size[0]]
        return Image.fromarray(part, "RGBA")

    def close(self) -> None:
        """Nothing is open."""


def open_canvas(monkeypatch, tmp_path: Path, canvas: Canvas) -> Slide:
    library = SimpleNamespace(OpenSlide=lambda _: canvas, OpenSlideError=ZeroDivisionError)
    monkeypatch.setattr(openslide, "_openslide", lambda *_: library)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    return Slide(SlideSpec(path), openslide.OpenSlideReader(path, "a test"))


@pytest.fixture
def rgba() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 255, (1200, 1400, 4), np.uint8)
    pixels[..., 3] = 255
    return pixels


def test_only_the_scanned_part_of_the_canvas_is_the_slide(monkeypatch, tmp_path, rgba) -> None:
    with open_canvas(monkeypatch, tmp_path, Canvas(rgba, (100, 200, 600, 800))) as slide:
        assert slide.shape == (600, 800)
        assert [level.shape for level in slide.levels] == [(600, 800), (300, 400)]
        assert (slide.mpp, slide.objective, slide.associated) == (0.25, 20, ("label", "macro"))
        np.testing.assert_array_equal(
            slide.read(0, (0, 0), (600, 800)), rgba[100:700, 200:1000, :3]
        )
        half = made.halved(rgba, (2,))[0]
        np.testing.assert_array_equal(slide.read(1, (0, 0), (300, 400)), half[50:350, 100:500, :3])


def test_bounds_beyond_the_canvas_are_not_believed(monkeypatch, tmp_path, rgba) -> None:
    with open_canvas(monkeypatch, tmp_path, Canvas(rgba, (900, 200, 600, 800))) as slide:
        assert slide.shape == (1200, 1400)


def test_what_was_not_scanned_is_background_and_not_black(monkeypatch, tmp_path, rgba) -> None:
    rgba[:512, :512] = 0
    rgba[600, 600] = (200, 100, 0, 128)
    with open_canvas(monkeypatch, tmp_path, Canvas(rgba, None)) as slide:
        assert (slide.read(0, (0, 0), (512, 512)) == 255).all()
        assert slide.read(0, (600, 600), (1, 1)).tolist() == [[[227, 177, 127]]]
