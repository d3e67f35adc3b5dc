"""Questions about the last run that need the model; every one is made for a worker's thread."""

from __future__ import annotations

from collections.abc import Iterator

from napari_hagmil.cascade import SecondLook, SecondLookPlan, Stage, second_look
from napari_hagmil.geometry import magnification_label
from napari_hagmil.prepare import PreparedSlide


def ask_second_look(
    prepared: PreparedSlide, stages: list[Stage], plan: SecondLookPlan
) -> Iterator[SecondLook | None]:
    """Draw, encode and judge; None where nothing was cut or the depth below was not reached."""
    if plan.depth + 1 >= len(stages):
        yield None
    else:
        yield second_look(prepared.model, prepared.features, stages, plan)


def told(look: SecondLook, mpp: float, *, classes: tuple[str, ...]) -> str:
    """What a second look says, in words.

    Parameters
    ----------
    look : SecondLook
        The answer.
    mpp : float
        µm per pixel at its depth.
    classes : tuple of str
        In the order of the probabilities.
    """
    n, hits = len(look.sampled), len(look.hidden)
    first = int(look.before.argmax())
    if n == look.population:
        rest = f"All {n:,} branches that {magnification_label(mpp)} cut were opened"
        share = f"{hits:,} of them ({100 * look.share:.0f} %) hide"
    else:
        rest = (
            f"{n:,} of the {look.population:,} branches that {magnification_label(mpp)} cut "
            "were drawn at random and opened"
        )
        share = (
            f"{hits:,} of them hide as much; of all of them it is {100 * look.low:.0f} to "
            f"{100 * look.high:.0f} % (95 % interval)"
        )
    ending = " as much attention as a typical followed branch" if n == look.population else ""
    return (
        f"{rest}: {share}{ending}. As much means: the highest attention below the branch reaches "
        f"the median of the followed ones. With them in the bag {classes[first]} goes from "
        f"{100 * look.before[first]:.1f} to {100 * look.after[first]:.1f} % at the next depth."
    )
