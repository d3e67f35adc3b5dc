"""How much of planted artefacts is found, and how much is called one that is none.

    python docs/scripts/quality_phantoms.py [--seeds 3] [--size 3072] [--slide SLIDE …] [--out DIR]

Plants artefacts of each kind on phantoms that have none, writes them as slides, measures their
quality, and prints a row per kind. Real slides given with --slide are measured as they are. With
--out, pictures of all of them go there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image
from quality_artefacts import PLANT, Picture, Place, clean_phantom, planted

from napari_hagmil.batch.analysis import overview
from napari_hagmil.export.on_request.quality import quality_picture
from napari_hagmil.quality import KINDS, SlideQuality, measure_quality
from napari_hagmil.slide import open_slide

#: Of each kind on a slide.
COUNT = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--slide", type=Path, nargs="*", default=[])
    parser.add_argument("--mpp", type=float, help="of slides that have none")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    print_table(list(cases(options.seeds, options.size, options.out)))
    for path in options.slide:
        with open_slide(path) as slide:
            mpp = None if slide.mpp else options.mpp
        found = measured(path, mpp, options.out)
        shares = ", ".join(f"{kind} {share:.1%}" for kind, share in found.shares.items())
        print(f"{path.name}: {shares} {' '.join(found.notes)}")


def cases(seeds: int, size: int, out: Path | None) -> Iterator[tuple[str, SlideQuality, Place]]:
    """What was planted (or "none"), what was found, and the cells that were covered."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            picture, tissue = clean_phantom(seed, size)
            for number, kind in enumerate(("none", *PLANT)):
                rng = np.random.default_rng([seed, number])
                made, place = (picture, np.zeros_like(tissue))
                if kind in PLANT:
                    made, place = planted(picture, tissue, kind, COUNT, rng)
                path = write(made, Path(folder) / f"{seed}-{kind}.tiff")
                found = measured(path, None, out)
                yield kind, found, cells(place & tissue, found.specimen.shape)


def write(picture: Picture, path: Path) -> Path:
    """A tiled slide of 1 µm per pixel, compressed as scanners do."""
    tifffile.imwrite(
        path, picture, tile=(256, 256), photometric="rgb", compression="jpeg",
        compressionargs={"level": 85}, resolution=(1e4, 1e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def measured(path: Path, mpp: float | None, out: Path | None) -> SlideQuality:
    with open_slide(path, mpp=mpp) as slide:
        found = measure_quality(slide)
        if out:
            picture = quality_picture(overview(slide).pixels, found)
            Image.fromarray(picture).save(out / f"{path.stem}.png")
    return found


def cells(place: Place, shape: tuple[int, int]) -> Place:
    """Cells that are covered by half."""
    share = cv2.resize(place.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return share > 0.5


def print_table(found: list[tuple[str, SlideQuality, Place]]) -> None:
    print("| artefact | planted, share of tissue | found of it | false, share of tissue: on others "
          "| on slides without any |\n|---|---|---|---|---|")  # fmt: skip
    for kind in KINDS:
        own = [(quality, place) for name, quality, place in found if name == kind]
        hits = sum((quality.maps[kind] & place).sum() for quality, place in own)
        planted_cells = sum(place.sum() for _, place in own)
        tissue = sum(quality.specimen.sum() for quality, _ in own)
        false = [
            np.mean([q.shares[kind] for name, q, _ in found if (name == "none") == is_none
                     and not is_told(kind, name)])
            for is_none in (False, True)
        ]  # fmt: skip
        print(f"| {kind} | {planted_cells / tissue:.1%} | {hits / planted_cells:.0%} "
              f"| {false[0]:.2%} | {false[1]:.2%} |")  # fmt: skip


def is_told(kind: str, planted_kind: str) -> bool:
    """Whether finding a kind where another is planted is right: a bubble's inside is blurred."""
    return kind == planted_kind or (kind, planted_kind) == ("blur", "bubble")


if __name__ == "__main__":
    main()
