"""Randomness that depends on the place only, never on the order in which places are drawn."""

import math

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]
HashArray = npt.NDArray[np.uint32]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Give each purpose a stream of its own, so that a new draw here changes nothing elsewhere."""
    return np.random.default_rng([seed, *purpose.encode()])


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> FloatArray:
    """Gaussian noise of unit variance with a correlation length of `scale` cells.

    Blurred on a grid of about scale / 3 and enlarged: isotropic, unlike interpolated lattice
    noise, whose ridges follow the axes.
    """
    step = max(1.0, scale / 3.0)
    sigma = scale / step
    pad = math.ceil(3 * sigma)
    height, width = (math.ceil(n / step) + 2 + 2 * pad for n in shape)
    white = rng.standard_normal((height, width), dtype=np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), sigma)[pad:-pad, pad:-pad]
    soft *= 2.0 * sigma * math.sqrt(math.pi)
    size = (round(soft.shape[1] * step), round(soft.shape[0] * step))
    large = soft if step == 1.0 else cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[: shape[0], : shape[1]], dtype=np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], scales: tuple[float, ...]
) -> FloatArray:
    """Sum of smooth noises whose amplitude is proportional to their scale; unit variance."""
    total = np.zeros(shape, np.float32)
    for scale in scales:
        total += smooth_noise(rng, shape, scale) * np.float32(scale)
    return total / np.float32(math.sqrt(sum(s * s for s in scales)))


def periodic_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> FloatArray:
    """Gaussian noise of unit variance that repeats without a seam; sigma in pixels.

    Coarse noise is made small and enlarged; sides are multiples of a power of two, mostly.
    """
    step = 1
    while sigma / step > 4 and all(n % (2 * step) == 0 for n in shape):
        step *= 2
    if step > 1:
        small = periodic_noise(rng, (shape[0] // step, shape[1] // step), sigma / step)
        large = cv2.resize(
            np.pad(small, 3, mode="wrap"), None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC
        )
        return np.ascontiguousarray(large[3 * step : -3 * step, 3 * step : -3 * step])
    white = rng.standard_normal(shape, dtype=np.float32)
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    kernel = np.exp(-2.0 * (np.pi * sigma) ** 2 * (fy * fy + fx * fx))
    soft = np.fft.irfft2(np.fft.rfft2(white) * kernel, s=shape).astype(np.float32)
    return np.asarray(soft / soft.std(), dtype=np.float32)


def to_byte(values: FloatArray) -> ByteArray:
    """Round to 0..255, saturating."""
    return np.asarray(np.clip(values + 0.5, 0, 255), dtype=np.uint8)


def hash_grid(rows: IntArray, columns: IntArray, salt: int) -> HashArray:
    """32-bit hash of every (row, column) of a grid: (len(rows), len(columns)).

    The finaliser of MurmurHash3; numpy wraps unsigned arrays silently, as wanted.
    """
    a = (rows.astype(np.uint32) * np.uint32(0x9E3779B1))[:, None]
    b = (columns.astype(np.uint32) * np.uint32(0x85EBCA77))[None, :]
    return rehash(a ^ (b + np.uint32(salt & 0xFFFFFFFF)))


def rehash(value: HashArray) -> HashArray:
    """Next hash of a chain of independent ones."""
    value = value + np.uint32(0x6D2B79F5)
    value = (value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    value = (value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return value ^ (value >> np.uint32(16))


def uniform(value: HashArray) -> FloatArray:
    """Hash → [0, 1)."""
    return (value >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
