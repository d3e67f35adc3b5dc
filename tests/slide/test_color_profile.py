"""The slide's ICC profile: found in every format, applied for the eye, and only where asked."""

import io

import numpy as np
import pytest
import torch
from made_slides import halved, write_generic
from PIL import Image, ImageCms

from made_profiles import wide_in_srgb, wide_profile
from napari_hagmil.errors import BundleError
from napari_hagmil.features import LazyFeatures
from napari_hagmil.features.encode import EncodeConfig, slide_key
from napari_hagmil.models import EncoderFacts
from napari_hagmil.plugin.layers import slide_layer
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import Slide, SlideSpec, open_slide, slide_info
from napari_hagmil.slide.color_profile import MAX_PROFILE_BYTES, ColorProfile, usable_profile
from napari_hagmil.slide.formats.openslide import OpenSlideReader

WIDE = wide_profile()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Colours of tissue, and every corner of the cube."""
    rng = np.random.default_rng(3)
    made = rng.integers(60, 250, (3000, 640, 3), np.uint8)
    made[:2, :4] = np.stack(np.meshgrid([0, 255], [0, 255], [0, 255]), -1).reshape(2, 4, 3)
    return made


@pytest.fixture(scope="module")
def wide(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "wide.tif"
    return write_generic(path, halved(pixels, (1, 4)), iccprofile=WIDE)


def test_colours_become_those_that_arithmetic_and_others_give(pixels):
    found = ColorProfile(WIDE).to_srgb(pixels)
    assert np.abs(found.astype(int) - wide_in_srgb(pixels)).max() <= 2
    theirs = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(WIDE)),
        ImageCms.createProfile("sRGB"),
    )
    assert np.array_equal(found, np.asarray(theirs))
    assert np.abs(found.astype(int) - pixels).max() > 40


def test_only_what_a_viewer_is_shown_changes_its_colours(wide, pixels):
    with open_slide(wide) as slide:
        as_filed = [np.asarray(level) for level in slide.view_levels()]
        slide.colors = "srgb"
        for before, level in zip(as_filed, slide.view_levels(), strict=True):
            assert np.abs(np.asarray(level).astype(int) - wide_in_srgb(before)).max() <= 2
        assert np.array_equal(slide.read(0, (0, 0), (64, 64)), pixels[:64, :64])
        slide.colors = "file"
        for before, level in zip(as_filed, slide.view_levels(), strict=True):
            assert np.array_equal(before, np.asarray(level))


def test_a_chunk_in_other_colours_is_another_for_dask(wide):
    with open_slide(wide) as slide:
        name = slide.view_levels()[0].name
        slide.colors = "srgb"
        assert slide.view_levels()[0].name != name
        assert slide_layer(slide)[1]["rgb"]


def _png(path, pixels):
    Image.fromarray(pixels).save(path, icc_profile=WIDE)
    return path


def _dicom(path, pixels):
    pytest.importorskip("wsidicom", reason="the extra dicom is not installed")
    import pydicom
    from dicom_slides import write_dicom

    write_dicom(path, [pixels])
    instance = pydicom.dcmread(path / "level-0.dcm")
    instance.OpticalPathSequence[0].ICCProfile = WIDE
    instance.save_as(path / "level-0.dcm")
    return path


def _tiff(path, pixels):
    return write_generic(path, [pixels], iccprofile=WIDE)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.tif", _tiff), ("a.png", _png), ("a.jpg", _png), ("dicom", _dicom)],
)
def test_info_names_the_profile_whatever_the_format(tmp_path, pixels, name, write):
    with open_slide(write(tmp_path / name, pixels[:256, :256])) as slide:
        assert slide_info(slide)["color_profile"] == "Wide gamut"


def test_openslide_finds_the_same_profile(wide):
    pytest.importorskip("openslide", reason="the extra openslide is not installed")
    with Slide(SlideSpec(wide), OpenSlideReader(wide, "a test")) as slide:
        assert slide.color_profile is not None
        assert slide.color_profile.name == "Wide gamut"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no profile at all",
        WIDE[:200],
        wide_profile(space=b"GRAY"),
        wide_profile(space=b"CMYK"),
        bytes(MAX_PROFILE_BYTES + 1),
    ],
    ids=["none", "text", "cut short", "grey", "ink", "huge"],
)
def test_what_leads_nowhere_counts_as_no_profile(tmp_path, pixels, data):
    assert usable_profile(data) is None
    options = {"iccprofile": data} if data and len(data) < 1000 else {}
    with open_slide(write_generic(tmp_path / "a.tif", [pixels[:64, :64]], **options)) as slide:
        slide.colors = "srgb"
        assert slide_info(slide)["color_profile"] is None
        assert np.array_equal(slide.shown(pixels[:64, :64]), pixels[:64, :64])


class MeanColour:
    """An encoder whose features are the mean colour."""

    name, weights_sha256, n_features, patch_size, device = "mean", "", 3, 64, "cpu"

    def __call__(self, patches):
        return torch.from_numpy(patches.reshape(len(patches), -1, 3).mean(1).astype(np.float32))


def test_an_encoder_sees_the_numbers_of_the_file_unless_srgb_is_asked_for(wide, pixels):
    grid, node = (PatchGrid(64, 1.0, (46, 10)),), np.array([[2, 3]])
    patch = pixels[128:192, 192:256]
    with open_slide(wide) as slide:
        slide.colors = "srgb"  # what is shown says nothing of what is encoded
        as_filed = LazyFeatures(slide, grid, MeanColour())(0, node)[0].numpy()
        in_srgb = LazyFeatures(slide, grid, MeanColour(), colors="srgb")(0, node)[0].numpy()
    assert as_filed == pytest.approx(patch.reshape(-1, 3).mean(0), abs=0.01)
    assert in_srgb == pytest.approx(wide_in_srgb(patch).reshape(-1, 3).mean(0), abs=1)


def test_features_in_srgb_and_as_filed_are_not_taken_for_one_another(wide, scratch_bundle):
    from napari_hagmil.models import load_bundle

    with open_slide(wide) as slide:
        keys = {
            colors: slide_key(slide, MeanColour(), EncodeConfig(colors=colors))
            for colors in ("file", "srgb")
        }
    assert "colors" not in keys["file"].encoder.as_json()
    assert keys["srgb"].encoder.as_json()["colors"] == "srgb"
    config = load_bundle(scratch_bundle).config
    config.check_encoder(config.encoder)
    asked = EncoderFacts(**{**config.encoder.as_json(), "colors": "srgb"})
    with pytest.raises(BundleError, match="cannot use it on colours in sRGB"):
        config.check_encoder(asked)
