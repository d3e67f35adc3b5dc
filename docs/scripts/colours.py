"""Take docs/images/colours.png: a slide as its numbers are, and in its profile's colours.

    python docs/scripts/colours.py [--out docs/images/colours.png]

The slide is a synthetic one whose file says that its numbers are those of a wide gamut, as the
files of some scanners do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from PIL import Image

from napari_hagmil.geometry import Region
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide, read_region

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from made_profiles import wide_profile  # noqa: E402

#: px of the picture's halves, and of the stripe between them.
SIDE, GAP = 420, 12


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "colours.png")
    asked = arguments.parse_args()
    with TemporaryDirectory() as folder:
        path = write_wide(Path(folder))
        with open_slide(path) as slide:
            height, width = slide.shape
            middle = Region((height - SIDE) // 2, (width - SIDE) // 2, SIDE, SIDE)
            filed = read_region(slide, middle, mpp=slide.mpp)
            slide.colors = "srgb"
            halves = filed, np.full((SIDE, GAP, 3), 255, np.uint8), slide.shown(filed)
    Image.fromarray(np.concatenate(halves, axis=1)).save(asked.out, optimize=True)


def write_wide(folder: Path) -> Path:
    """A phantom's pixels, filed as those of a wide gamut."""
    phantom, path = folder / "phantom.tiff", folder / "wide.tiff"
    write_phantom(phantom, PhantomConfig(seed=4, size=1024, lesions=1))
    pixels = tifffile.imread(phantom)
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
        iccprofile=wide_profile(),
    )
    return path


if __name__ == "__main__":
    main()
