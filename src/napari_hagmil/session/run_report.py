"""Describe a run in words: expected cost, findings, time, and changes."""

from __future__ import annotations

from napari_hagmil.cascade import Cost, DepthChange, DepthForecast, SlideResult
from napari_hagmil.geometry import magnification_label
from napari_hagmil.session.numbers import duration, percent
from napari_hagmil.session.runs.cost import RunCost
from napari_hagmil.session.session import Session


def depth_label(session: Session, depth: int) -> str:
    """The magnification of a depth of the next run: ``"10×"``; empty before it is prepared."""
    if session.prepared is None:
        return ""
    # Of all depths, not those of the last run: a late tick of progress may be of a deeper run.
    grid = session.prepared.quadtree.grids[depth]
    return magnification_label(grid.downsample * session.mpp)


def stage_label(session: Session, depth: int) -> str:
    """The magnification of a depth of the run that is shown."""
    return magnification_label(session.grids[depth].downsample * session.mpp)


def stage_labels(session: Session) -> list[str]:
    """The magnifications of the depths that the shown run has reached, coarse to fine."""
    return [stage_label(session, stage.depth) for stage in session.stages]


def price_of_depth(forecast: DepthForecast) -> str:
    """Say how many patches the next run looks at on one depth, and how many of them are new."""
    upto = "" if forecast.exact else "up to "
    new = f"{upto}{forecast.new:,} to encode" if forecast.new else "all known"
    return f"looks at {upto}{forecast.nodes:,}: {new}"


def price_of_run(cost: RunCost) -> str:
    """Say how many patches the next run encodes, and how long that takes."""
    if not cost.new:
        return "The next run encodes no new patches."
    upto = "" if cost.exact else "up to "
    text = f"The next run encodes {upto}{cost.new:,} new patches"
    return text + (
        "." if cost.seconds is None else f", {upto or 'about '}{duration(cost.seconds)}."
    )


def run_label(cost: RunCost | None) -> str:
    """The label of the run button after a run: ``"Run (72 s)"``, or "Run again" if all is known."""
    if cost is None or not cost.new:
        return "Run again"
    if cost.seconds is None:
        return "Run"
    return f"Run ({'' if cost.exact else 'up to '}{duration(cost.seconds)})"


def cost_of_run(cost: Cost) -> str:
    """Patches looked at, patches with tissue, and the time; empty where no tissue was counted.

    A followed patch is looked at with all its children: at the edge of the tissue some are
    glass, so that more patches may be looked at than hold tissue.
    """
    looked, tissue = cost.patches_encoded, cost.patches_exhaustive
    if not tissue:
        return ""
    if not looked:
        text = f"{tissue:,} patches with stored features, none encoded"
    elif looked > tissue:
        text = f"{looked:,} patches looked at: all {tissue:,} with tissue, and glass beside them"
    else:
        share = percent(looked / tissue)
        text = f"{looked:,} of {tissue:,} patches with tissue looked at ({share})"
    return f"{text}, in {duration(cost.seconds['total'])}"


def notes_of_run(result: SlideResult) -> str:
    """The notes on a result, a line each."""
    doubt = "" if result.unfit else result.uncertainty.sentence
    notes = [doubt, *result.notes] if doubt else list(result.notes)
    if result.state == "cancelled":
        notes.insert(0, "Cancelled: the depths above are complete; finer ones were not read.")
    return "\n".join(notes)


def change_at_depth(session: Session, change: DepthChange) -> str:
    """Describe the changes of the last run at one depth: prediction, nodes looked at, followed."""
    label, model = stage_label(session, change.depth), session.model
    if model is None:
        return label
    first = int(change.after.argmax())
    was, now = percent(float(change.before[first])), percent(float(change.after[first]))
    looked = f"looked at +{len(change.gained):,} −{len(change.lost):,}"
    followed = f", followed +{len(change.opened):,} −{len(change.closed):,}"
    if change.depth == len(session.grids) - 1:
        followed = ""  # the last depth hands no node on
    return f"{label}: {model.config.classes[first]} {was} → {now}\n  {looked}{followed}"
