"""Three channels as colours or fluorescence, opacity, more than 8 bits, and turned pictures."""

from __future__ import annotations

import io
from pathlib import Path

import made_slides as made
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.slide import open_slide, read_region
from napari_hagmil.slide.region import require_brightfield

RGB = ("FF0000", "00FF00", "0000FF")
NUMBERED = ["Channel 0", "Channel 1", "Channel 2"]


@pytest.fixture(scope="module")
def he(he_pixels: np.ndarray) -> np.ndarray:
    return he_pixels[700:1300, 500:1000].copy()


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Fluorescence in 8 bits: a dark ground, bright cells in each channel."""
    picture = np.random.default_rng(2).integers(4, 25, (600, 500, 3), np.uint8)
    picture[100:180, 100:180, 0], picture[300:420, 200:300, 2] = 220, 240
    return picture


def ome_tiff(path: Path, pixels: np.ndarray, names: list[str] | None) -> Path:
    metadata = {"axes": "CYX"} | ({"Channel": {"Name": names}} if names else {})
    options = {"photometric": "minisblack", "tile": (128, 128), "compression": "zlib"}
    tifffile.imwrite(path, np.moveaxis(pixels, 2, 0), ome=True, metadata=metadata, **options)
    return path


def ome_zarr(path: Path, pixels: np.ndarray, channels: list[dict[str, str]] | None) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    stored = np.moveaxis(pixels, 2, 0)
    group.create_array("0", shape=stored.shape, chunks=(1, 256, 256), dtype="u1")[:] = stored
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    if channels is not None:
        group.attrs["omero"] = {"channels": channels, "rdefs": {"model": "color"}}
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["R", "G", "B"],
        ["Red", "Green", "Blue"],
        ["channel R", "channel G", "channel B"],
        NUMBERED,
        ["H&E"] * 3,
        None,
    ],
    ids=lambda names: "none" if names is None else names[0],
)
def test_three_grey_channels_of_an_he_are_its_colours(names, he, tmp_path) -> None:
    with open_slide(ome_tiff(tmp_path / "a.ome.tif", he, names)) as slide:
        require_brightfield(slide)
        assert slide.background == 255
        np.testing.assert_array_equal(slide.read(0, (0, 0), slide.shape), he)


@pytest.mark.parametrize(
    ("names", "bright"),
    [
        (["DAPI", "FITC", "Cy5"], True),
        (NUMBERED, False),
        (None, False),
    ],
)
def test_three_channels_of_fluorescence_stay_channels(names, bright, he, cells, tmp_path) -> None:
    with open_slide(ome_tiff(tmp_path / "a.ome.tif", he if bright else cells, names)) as slide:
        assert not slide.is_rgb
        assert slide.background == 0
        with pytest.raises(SlideFormatError, match="3 fluorescence channels"):
            require_brightfield(slide)


def labelled(labels: tuple[str, ...], colors: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {key: value for key, value in (("label", one), ("color", color)) if value}
        for one, color in zip(labels, colors, strict=True)
    ]


NONE = ("", "", "")


@pytest.mark.parametrize(
    "channels",
    [
        None,
        labelled(NONE, RGB),
        labelled(("R", "G", "B"), NONE),
        labelled(("R", "G", "B"), ("808080",) * 3),
        labelled(("red", "green", "blue"), ("00FFFF", "FF00FF", "FFFF00")),
        labelled(NONE, tuple(f"#{color}FF" for color in RGB)),
        labelled(("0", "1", "2"), ("FFFFFF",) * 3),
    ],
)
def test_an_he_in_ome_zarr_is_brightfield_whatever_colours_stand_beside_it(
    channels, he, tmp_path
) -> None:
    with open_slide(ome_zarr(tmp_path / "a.zarr", he, channels)) as slide:
        require_brightfield(slide)
        np.testing.assert_array_equal(slide.read(0, (0, 0), slide.shape), he)


@pytest.mark.parametrize(
    "channels",
    [
        labelled(("DAPI", "FITC", "TRITC"), RGB),
        labelled(NONE, ("0000FF", "00FF00", "FF0000")),
        labelled(NONE, RGB),
    ],
)
def test_fluorescence_in_ome_zarr_is_no_brightfield_though_it_has_these_colours(
    channels, cells, tmp_path
) -> None:
    with open_slide(ome_zarr(tmp_path / "a.zarr", cells, channels)) as slide:
        assert not slide.is_rgb


def on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.dstack([pixels, alpha]))
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "planar", "zarr", "png"])
def test_transparent_places_are_white(kind, he, tmp_path) -> None:
    alpha = np.full(he.shape[:2], 255, np.uint8)
    alpha[:200], alpha[200:260] = 0, 90
    hidden = np.where(alpha[..., None] > 0, he, 0).astype(np.uint8)
    expected, path = on_white(hidden, alpha), tmp_path / f"a.{kind}"
    stored = np.dstack([hidden, alpha])
    tiled = {"photometric": "rgb", "tile": (128, 128), "compression": "zlib"}
    if kind == "zarr":
        zarr.save_array(path, stored)
    elif kind == "png":
        Image.fromarray(stored).save(path)
    elif kind == "planar":
        planar = {"planarconfig": "separate", "extrasamples": ["unassalpha"]}
        tifffile.imwrite(path, np.moveaxis(stored, 2, 0), **planar, **tiled)
    else:
        if kind == "assocalpha":
            stored[..., :3] = np.rint(hidden * (alpha[..., None] / 255))
        tifffile.imwrite(path, stored, extrasamples=[kind], **tiled)
    with open_slide(path) as slide:
        require_brightfield(slide)
        got = slide.read(0, (0, 0), slide.shape).astype(int)
    assert (got[:200] == 255).all()
    np.testing.assert_allclose(got, expected, atol=1)


def test_a_fourth_sample_that_is_not_explained_hides_only_black(he, tmp_path) -> None:
    fourth = he[..., 0] // 2 + 1
    fourth[:100] = fourth[100:200] = 0
    shown = he.copy()
    shown[:100] = 0
    stored = np.dstack([shown, fourth])
    options = {"photometric": "rgb", "extrasamples": ["unspecified"], "tile": (128, 128)}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    shown[:100] = 255
    with open_slide(tmp_path / "a.tif") as slide:
        np.testing.assert_array_equal(slide.read(0, (0, 0), slide.shape), shown)


def test_colours_of_16_bits_are_told_from_fluorescence(he, tmp_path) -> None:
    deep = he.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", tile=(128, 128))
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.background == 65535
        with pytest.raises(SlideFormatError, match=r"16 bits \(uint16\).*convert it to 8 bits"):
            require_brightfield(slide)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_tiff_is_shown_as_its_orientation_tag_asks(orientation, he, tmp_path) -> None:
    levels = made.halved(he[:590, :470], (1, 2))
    resolution = {"resolution": (25000, 20000), "resolutionunit": "CENTIMETER", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for i, level in enumerate(levels):
            tag = [(274, 3, 1, orientation, True)]
            options = {"tile": (128, 64), "photometric": "rgb", "extratags": tag} | resolution
            tiff.write(level, subfiletype=int(i > 0), **options)
    expected = [UPRIGHT[orientation](level) for level in levels]
    with open_slide(tmp_path / "a.tif") as slide:
        for index, picture in enumerate(expected):
            assert slide.levels[index].shape == picture.shape[:2]
            np.testing.assert_array_equal(slide.read(index, (0, 0), picture.shape[:2]), picture)
        part = read_region(slide, Region(57, 33, 201, 170))
        np.testing.assert_array_equal(part, expected[0][57:258, 33:203])
        assert any("upright" in warning for warning in slide.warnings) == (orientation > 1)
        (size,) = slide.reader.facts.pixel_sizes
        assert size.mpp == pytest.approx((0.4, 0.5) if orientation >= 5 else (0.5, 0.4))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_jpeg_is_shown_as_its_exif_asks(orientation, he, tmp_path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.fromarray(he).save(buffer, "JPEG", quality=95, exif=exif)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    expected = UPRIGHT[orientation](np.asarray(Image.open(buffer)))
    with open_slide(tmp_path / "a.jpg") as slide:
        got = slide.read(0, (0, 0), slide.shape).astype(int)
    np.testing.assert_allclose(got, expected, atol=1)
