"""Slides made of real pixels, and slides that lie."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile


@pytest.fixture(scope="session")
def he_pixels(slides_dir: Path) -> np.ndarray:
    """2967×2220 pixels of H&E: of a real slide, or of a phantom where there is none."""
    return tifffile.imread(slides_dir / "CMU-1-Small-Region.svs")


def write_pyramid(path: Path, pixels: np.ndarray, steps=(1, 2, 4), **options) -> Path:
    """A generic pyramidal TIFF of 0.5 µm/px in JPEG tiles of 256 px."""
    settings = {
        "tile": (256, 256),
        "compression": "jpeg",
        "photometric": "rgb",
        "resolutionunit": 3,
    } | options
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for i, step in enumerate(steps):
            shape = pixels.shape[1] // step, pixels.shape[0] // step
            level = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA) if step > 1 else pixels
            tiff.write(
                level, subfiletype=int(i > 0), resolution=(20000 / step, 20000 / step), **settings
            )
    return path


@pytest.fixture(scope="session")
def pyramid(he_pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three levels of H&E, lossy."""
    return write_pyramid(tmp_path_factory.mktemp("slides") / "pyramid.tif", he_pixels)


@pytest.fixture(scope="session")
def lossless(he_pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Level 0 and a level 4 times coarser, Deflate: pixels are known exactly."""
    path = tmp_path_factory.mktemp("slides") / "lossless.tif"
    return write_pyramid(
        path, he_pixels[:2816, :2048], steps=(1, 4), compression="deflate", predictor=True
    )
