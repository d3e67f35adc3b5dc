"""The configuration of a phantom: size, lesions, seed."""

from dataclasses import dataclass

from napari_hagmil.errors import HagmilError

#: Below this, not one piece of tissue with its margin fits.
MIN_SIZE = 1024
MAX_SIZE = 100_000
#: Finer pixels show no more than the sprites hold; coarser ones no longer show single nuclei.
MIN_MPP = 0.1
MAX_MPP = 2.0


class PhantomError(HagmilError, ValueError):
    """A phantom slide that cannot be planned or written as asked."""


@dataclass(frozen=True)
class PhantomConfig:
    """The size of a phantom and the lesions to plant.

    Attributes
    ----------
    seed
        Chooses everything that varies: pieces, stain, anatomy, distractors, lesions.
    size
        Height and width of level 0 in pixels, 1024 to 100 000.
    lesions
        Number of lesions; None draws it from the seed (0 included), 0 is a healthy slide. Fewer
        are planted where the tissue has no room for one of at least the smallest diameter.
    lesion_diameters_um
        Smallest and largest diameter in µm, drawn log-uniformly and capped to what the tissue
        holds. The diameter is that of the circle of the same area.
    mpp
        µm per pixel of level 0, 0.1 to 2.
    """

    seed: int = 0
    size: int = 16384
    lesions: int | None = None
    lesion_diameters_um: tuple[float, float] = (150.0, 4000.0)
    mpp: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, before any work."""
        low, high = self.lesion_diameters_um
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise PhantomError("size", f"must be {MIN_SIZE} to {MAX_SIZE} px", value=self.size)
        if not MIN_MPP <= self.mpp <= MAX_MPP:
            raise PhantomError("mpp", f"must be {MIN_MPP} to {MAX_MPP} µm per px", value=self.mpp)
        if self.lesions is not None and self.lesions < 0:
            raise PhantomError("lesions", "must be 0 or more, or None", value=self.lesions)
        if not 0 < low <= high:
            raise PhantomError(
                "lesion_diameters_um", "must be 0 < low ≤ high", value=f"{low}, {high}"
            )
        if self.seed < 0:
            raise PhantomError("seed", "must be 0 or more", value=self.seed)
