"""Anatomy, lesions and distractors as the byte fields that the renderer enlarges.

A signed distance of d µm is stored as 128 + 4 d: 0 is at least 32 µm outside.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.anatomy import CELL_UM, Anatomy, Frame, make_anatomy
from napari_hagmil.phantom.config import PhantomConfig
from napari_hagmil.phantom.distractors import Distractors, make_distractors
from napari_hagmil.phantom.lesions import LesionFields, plant_lesions
from napari_hagmil.phantom.noise import ByteArray, FloatArray, to_byte
from napari_hagmil.phantom.stain import Stain, make_gain, make_stain
from napari_hagmil.phantom.truth import PhantomTruth

MIN_CELL_PX = 4


@dataclass(frozen=True)
class Ground:
    """Stain between the nuclei, 0..255 per cell.

    Attributes
    ----------
    hematoxylin, eosin
        The mean.
    fibres, grain
        How much eosin of the collagen texture, and how much granularity, come on top.
    """

    hematoxylin: ByteArray
    eosin: ByteArray
    fibres: ByteArray
    grain: ByteArray


@dataclass(frozen=True)
class Shapes:
    """Signed distances (bytes) of what has a sharp border, and the tumour's cytoplasm."""

    tissue: ByteArray
    fat: ByteArray
    lumen: ByteArray
    gland: ByteArray
    nest: ByteArray
    blood: ByteArray
    tumour_eosin: ByteArray
    tumour_hematoxylin: ByteArray


@dataclass(frozen=True)
class Census:
    """Chance (0..255) that a place of the nucleus grid holds a nucleus of each kind."""

    lymphocyte: ByteArray
    spindle: ByteArray
    epithelium: ByteArray
    centrocyte: ByteArray
    histiocyte: ByteArray
    tumour: ByteArray
    red_cell: ByteArray
    hole: ByteArray
    chromasia: ByteArray


@dataclass(frozen=True)
class PhantomPlan:
    """Everything about one phantom slide that costs little: all but its pixels."""

    config: PhantomConfig
    frame: Frame
    truth: PhantomTruth
    stain: Stain
    gain_hematoxylin: ByteArray
    gain_eosin: ByteArray
    fibre_mix: ByteArray
    ground: Ground
    shapes: Shapes
    census: Census
    distractors: Distractors

    @property
    def tissue(self) -> npt.NDArray[np.bool_]:
        """Where tissue lies, one value per cell of `frame.cell_px` level-0 pixels."""
        return self.shapes.tissue > 128


def plan_phantom(config: PhantomConfig) -> PhantomPlan:
    """Lay a slide out and plant its truth, without rendering a pixel.

    Returns
    -------
    PhantomPlan
        `truth` holds the lesions; `render_region` turns the rest into pixels.
    """
    cell_px = max(MIN_CELL_PX, round(CELL_UM / config.mpp))
    side = -(-config.size // cell_px)
    frame = Frame(config.seed, (side, side), cell_px, cell_px * config.mpp)
    anatomy = make_anatomy(frame)
    lesions, tumour = plant_lesions(config, frame, anatomy.tissue, anatomy.fat < -20)
    weights = _weights(anatomy, tumour)
    slow = frame.noise("thickness", 1500), frame.noise("uptake", 1200)
    return PhantomPlan(
        config=config,
        frame=frame,
        truth=PhantomTruth(lesions),
        stain=make_stain(config.seed),
        gain_hematoxylin=make_gain(config.seed, "gain h", 0.7 * slow[0] + 0.5 * slow[1], 0.10),
        gain_eosin=make_gain(config.seed, "gain e", 0.7 * slow[0] - 0.5 * slow[1], 0.12),
        fibre_mix=to_byte(128 + 260 * frame.noise("fibre mix", 300, 120)),
        ground=_ground(frame, weights),
        shapes=_shapes(anatomy, tumour),
        census=_census(frame, anatomy, tumour, weights),
        distractors=make_distractors(frame, anatomy.tissue),
    )


def _signed(distance_um: FloatArray) -> ByteArray:
    """Signed distance in µm → byte, 4 levels a µm about 128."""
    return to_byte(128 + 4 * distance_um)


def _soft(distance_um: FloatArray, width_um: float = 16.0) -> FloatArray:
    """1 well inside, 0 well outside, 0.5 on the border."""
    share = distance_um / np.float32(width_um) + np.float32(0.5)
    return np.asarray(np.clip(share, 0, 1), dtype=np.float32)


def _weights(anatomy: Anatomy, tumour: LesionFields) -> dict[str, FloatArray]:
    """Share of each tissue in each cell; the later ones displace the earlier; sum is one."""
    layers = {
        "lymph": anatomy.node,
        "mantle": anatomy.follicle,
        "centre": anatomy.centre,
        "sinus": anatomy.sinus,
        "trabecula": anatomy.trabecula,
        "capsule": 16 - np.abs(anatomy.node + 6),
        "muscle": anatomy.wall,
        "gland": np.where(anatomy.gland > -40, 17 - np.abs(anatomy.gland + 5), -99),
        "desmoplasia": tumour.inside,
    }
    weights = {"stroma": np.ones_like(anatomy.tissue)}
    for name, distance in layers.items():
        share = _soft(np.asarray(distance, dtype=np.float32))
        for other in weights.values():
            other *= 1 - share
        weights[name] = share
    return weights


# Stain between nuclei: hematoxylin, eosin, collagen fibres, grain (0..255).
GROUND: dict[str, tuple[float, float, float, float]] = {
    "stroma": (10, 34, 92, 20),
    "lymph": (27, 38, 14, 56),
    "mantle": (34, 36, 4, 60),
    "centre": (36, 58, 0, 70),
    "sinus": (6, 14, 16, 26),
    "trabecula": (10, 58, 88, 16),
    "capsule": (10, 60, 92, 16),
    "muscle": (16, 92, 48, 30),
    "gland": (24, 78, 0, 46),
    "desmoplasia": (20, 34, 78, 26),
}


def _ground(frame: Frame, weights: dict[str, FloatArray]) -> Ground:
    """Mix the stain of the tissues, with a slow unevenness."""
    uneven = 1 + 0.12 * frame.noise("uneven", 160, 60)
    # Oedema: in places the stroma lies loose and pale.
    loose = 1 - 0.5 * weights["stroma"] * np.clip(frame.noise("oedema", 260, 110), 0, 1)
    planes = []
    for channel in range(4):
        mixed = np.zeros(frame.shape, np.float32)
        for name, values in GROUND.items():
            mixed += np.float32(values[channel]) * weights[name]
        planes.append(to_byte(mixed * (loose * uneven if channel in (1, 2) else uneven)))
    return Ground(*planes)


def _shapes(anatomy: Anatomy, tumour: LesionFields) -> Shapes:
    """Sharp borders; tumour has overgrown clefts, fat, vessels and glands."""
    free = -tumour.inside
    has_tumour = tumour.inside > -90
    return Shapes(
        tissue=_signed(np.maximum(anatomy.tissue, tumour.inside + 3)),
        fat=_signed(np.minimum(np.minimum(anatomy.fat, free), -anatomy.wall - 6)),
        lumen=_signed(np.minimum(anatomy.lumen, free)),
        gland=_signed(np.minimum(anatomy.gland - 4, free)),
        nest=_signed(np.where(has_tumour, tumour.nest, -99).astype(np.float32)),
        blood=to_byte(255 * (anatomy.blood > 0.4).astype(np.float32) * (anatomy.lumen > -40)),
        tumour_eosin=to_byte(np.where(has_tumour, 50 + 44 * tumour.eosin, 0)),
        tumour_hematoxylin=to_byte(np.where(has_tumour, 14 + 24 * tumour.basophilia, 0)),
    )


# Chance of a nucleus per place of the grid, 0..1. Small grid: lymphocytes, spindles, epithelium;
# large grid: centrocytes, histiocytes, tumour.
CENSUS: dict[str, dict[str, float]] = {
    "lymphocyte": {
        "stroma": 0.012, "lymph": 0.80, "mantle": 0.96, "centre": 0.05, "sinus": 0.10,
        "capsule": 0.01, "desmoplasia": 0.10,
    },
    "spindle": {
        "stroma": 0.085, "lymph": 0.02, "trabecula": 0.12, "capsule": 0.11, "muscle": 0.30,
        "sinus": 0.03, "desmoplasia": 0.16,
    },
    "epithelium": {"gland": 0.85},
    "centrocyte": {"centre": 0.94, "lymph": 0.05},
    "histiocyte": {"sinus": 0.50, "lymph": 0.05, "desmoplasia": 0.02},
    "red_cell": {"sinus": 0.03, "stroma": 0.004, "desmoplasia": 0.012, "lymph": 0.003},
    "hole": {"centre": 0.05},
}  # fmt: skip


def _census(
    frame: Frame, anatomy: Anatomy, tumour: LesionFields, weights: dict[str, FloatArray]
) -> Census:
    """Mix the chances of the tissues; none in fat, lumens and nests but the tumour's own."""
    fat = np.minimum(anatomy.fat, -anatomy.wall - 6)
    free = 1 - _soft(np.maximum(fat + 9, np.maximum(anatomy.lumen, anatomy.gland - 4)))
    inside = _soft(tumour.inside, 6)
    open_ground = np.maximum(free, inside) * (1 - inside * _soft(tumour.nest + 2, 8))
    crowd = np.clip(1 + 0.22 * frame.noise("crowd", 140, 50), 0, 1.35)
    chance = {}
    for kind, table in CENSUS.items():
        mixed = np.zeros(frame.shape, np.float32)
        for name, value in table.items():
            mixed += np.float32(value) * weights[name]
        chance[kind] = to_byte(255 * mixed * open_ground * crowd)
    nests = _soft(np.minimum(tumour.nest, tumour.inside + 2), 4)
    return Census(
        tumour=to_byte(255 * nests * (tumour.inside > -90) * 0.96),
        chromasia=to_byte(255 * tumour.chromasia),
        **chance,
    )
