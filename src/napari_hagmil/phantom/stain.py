"""From stain concentrations to RGB by the law of Beer and Lambert."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.noise import ByteArray, FloatArray, stream

# Optical density (R, G, B) of unit stain, in the range of routine H&E after Ruifrok & Johnston.
HEMATOXYLIN = np.array((0.60, 0.74, 0.32))
EOSIN = np.array((0.10, 0.88, 0.44))
ERYTHROCYTE = np.array((0.16, 0.90, 0.80))  # dense eosin with haemoglobin: brick red
MAX_HEMATOXYLIN = 1.35  # optical density of level 255
MAX_EOSIN = 0.72


@dataclass(frozen=True)
class StainPlanes:
    """How much of both dyes lies on each pixel of a window, (h, w), 0..255."""

    hematoxylin: ByteArray
    eosin: ByteArray


@dataclass(frozen=True)
class Stain:
    """One slide's stain: a table (H, E) → packed RGB, index E * 256 + H."""

    table: npt.NDArray[np.uint32]
    glass: tuple[float, float, float]

    def colour(self, planes: StainPlanes) -> ByteArray:
        """(h, w) planes → (h, w, 3) RGB."""
        pair = cv2.merge([planes.hematoxylin, planes.eosin]).view("<u2")[..., 0]
        packed = np.take(self.table, pair, mode="wrap")
        return np.asarray(
            cv2.cvtColor(packed.view(np.uint8).reshape(*pair.shape, 4), cv2.COLOR_BGRA2BGR),
            dtype=np.uint8,
        )


def make_stain(seed: int) -> Stain:
    """Draw the slide's stain: strength and hue of both dyes, and the colour of the lamp."""
    rng = stream(seed, "stain")
    strength_h = np.exp(rng.normal(0, 0.15))
    strength_e = np.exp(rng.normal(0, 0.20))
    h_vector = HEMATOXYLIN * np.exp(rng.normal(0, 0.05, 3))
    e_vector = EOSIN * np.exp(rng.normal(0, 0.07, 3))
    glass = np.array((244, 242, 243)) + rng.uniform(-4, 4, 3)
    h = np.arange(256, dtype=np.float64)[None, :, None] / 255
    e = np.arange(256, dtype=np.float64)[:, None, None] / 255
    # A nucleus displaces the cytoplasm: its eosin counts less the denser the hematoxylin.
    displaced = 1 - 0.55 * _smoothstep(h, 0.22, 0.62)
    red = _smoothstep(e, 0.66, 0.82) * (1 - _smoothstep(h, 0.2, 0.5))
    vector = e_vector * (1 - red) + ERYTHROCYTE * red
    density = strength_h * MAX_HEMATOXYLIN * h * h_vector
    density = density + strength_e * MAX_EOSIN * e * displaced * vector
    rgb = np.clip(glass * 10.0**-density + 0.5, 0, 255).astype(np.uint32).reshape(65536, 3)
    table = rgb[:, 0] | (rgb[:, 1] << 8) | (rgb[:, 2] << 16)
    return Stain(table.astype("<u4"), (float(glass[0]), float(glass[1]), float(glass[2])))


def _smoothstep(value: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def make_gain(seed: int, name: str, noise: FloatArray, spread: float) -> ByteArray:
    """Slow change of a stain over the slide: 128 is a factor of one."""
    level = stream(seed, name).normal(0, 0.03)
    return np.asarray(np.clip(128 * np.exp(spread * noise + level), 60, 250), dtype=np.uint8)
