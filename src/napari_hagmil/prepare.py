"""Prepare one slide for one model: options, networks, tissue, quadtree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import (
    CascadeConfig,
    Given,
    ModelFacts,
    Settings,
    SlideSummary,
    Stage,
    Steering,
    why_unfamiliar,
)
from napari_hagmil.depths import DepthPlan
from napari_hagmil.encoders import Encoder, load_encoder, resolve_device
from napari_hagmil.errors import BundleError, EncoderError, Remedy
from napari_hagmil.features import (
    FeatureSource,
    GivenFeatures,
    LazyFeatures,
    encoder_facts,
    in_context,
    kept_features,
    lay_out,
    lay_quadtree,
    open_given,
)
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import BundleConfig, CascadeModel, load_bundle
from napari_hagmil.quadtree import Quadtree
from napari_hagmil.slide import Slide
from napari_hagmil.slide.color_profile import Colors
from napari_hagmil.tissue import TissueMask, segment_tissue
from napari_hagmil.untrusted import well_formed


@dataclass(frozen=True)
class Options:
    """Options of an analysis; the bundle's own by default.

    Attributes
    ----------
    budget : tuple of int, optional
        Nodes followed at each depth but the last.
    device : str
        "auto", "cpu", "cuda", "mps".
    exhaustive : bool
        Follow every node: what the cascade is compared with.
    tissue : TissueMask, optional
        Instead of the one that `segment_tissue` finds.
    tissue_source : str
        "drawn", or "epithelium" where it is what SHELL found, for the record.
    steering : Steering
        Branches to follow and places to leave out.
    last_depth : int, optional
        Where the cascade ends, if before the last depth that model and slide have.
    features : tuple of Path
        Stored features to run on, instead of the slide's pixels: see `features.open_given`.
    keep_features : bool
        Whether features that earlier runs have encoded are used, and new ones kept on disk.
    error_rate : float, optional
        Of slides like the model's validation slides, the share whose class may lie outside the set
        of classes that a result names; by default 0.1.
    quality : mapping of str to float, optional
        Share of the tissue that each kind of artefact covers, measured before, for the record.
    file_hashes : mapping
        SHA-256 of the files that "tissue" and "steering" were read from, for the record.
    """

    budget: tuple[int, ...] | None = None
    device: str = "auto"
    exhaustive: bool = False
    tissue: TissueMask | None = None
    tissue_source: str = "drawn"
    steering: Steering = field(default_factory=Steering)
    last_depth: int | None = None
    features: tuple[Path, ...] = ()
    keep_features: bool = True
    error_rate: float | None = None
    quality: Mapping[str, float] | None = None
    file_hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedSlide:
    """One slide prepared for one model, ready to be read any number of times.

    Features stay in `features`, so that a second run with another budget or steering
    encodes only what is new.

    Attributes
    ----------
    distances : list of float
        How far the slide lies from those of the model's training, of each run whose first depth has
        been read.
    """

    slide: Slide
    model: CascadeModel
    plan: DepthPlan
    tissue: TissueMask
    quadtree: Quadtree
    features: LazyFeatures | GivenFeatures
    device: str
    model_seconds: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)

    @property
    def unfit(self) -> str:
        """Why the model does not fit this slide, as a sentence; empty where it may fit."""
        return why_unfit(self.model.config, self.slide, self.distance)

    @property
    def distance(self) -> float | None:
        """How far the slide lies from those of the training; None before that is known."""
        return self.distances[-1] if self.distances else None

    def compare(self, stage: Stage) -> None:
        """Compare the features of the first depth with those of the model's training."""
        seen = self.model.config.familiarity
        if seen is not None:
            self.distances.append(seen.distance(self.features(stage.depth, stage.nodes).numpy()))

    @property
    def source(self) -> FeatureSource:
        """The features as the model wants them: alone, or with their ancestors'."""
        return in_context(self.features, self.model.config.context)

    def config(self, options: Options) -> CascadeConfig:
        """The cascade's configuration for these options, on this slide."""
        budget = options.budget or self.model.config.budget
        if options.exhaustive:
            budget = tuple(grid.shape[0] * grid.shape[1] for grid in self.quadtree.grids)
        if len(budget) < self.plan.last_depth:
            raise BundleError(
                "the budget",
                f"needs {self.plan.last_depth} numbers for model {self.model.config.name}",
                value=list(budget),
                remedy="give one number per depth but the last",
            )
        return CascadeConfig(
            tuple(budget),
            self.last_depth(options),
            self.model.config.order,
            options.steering,
            tissue=self.model.tissue_of(self.quadtree.nodes),
        )

    def last_depth(self, options: Options) -> int:
        """The depth that a cascade with these options ends at."""
        deepest = self.plan.last_depth
        return deepest if options.last_depth is None else min(options.last_depth, deepest)

    def with_tissue(self, tissue: TissueMask | None) -> PreparedSlide:
        """The same slide with another tissue mask, or as it is found; features are kept.

        Raises
        ------
        NoTissueError
            When no tissue is found.
        """
        given = self.features
        if isinstance(given, GivenFeatures):
            quadtree = given.quadtree if tissue is None else given.within(self.slide, tissue)
            mask = given.tissue(self.slide) if tissue is None else tissue
            return dataclasses.replace(self, tissue=mask, quadtree=quadtree)
        tissue = segment_tissue(self.slide) if tissue is None else tissue
        quadtree = lay_quadtree(self.slide, self.plan, self.model.config.patch_size, tissue)
        return dataclasses.replace(self, tissue=tissue, quadtree=quadtree)


def why_unfit(config: BundleConfig, slide: Slide, distance: float | None = None) -> str:
    """Say in a sentence or two why a model does not fit a slide; empty where it may fit.

    `distance`: see `PreparedSlide.distances`.
    """
    said = why_unfamiliar(config, distance)
    if config.made_for == "phantoms" and not slide.is_phantom:
        said = f"The model {config.name} is not for this slide. {config.intended_use} {said}"
    return said.strip()


class LoadedModel(NamedTuple):
    """A bundle's networks and the encoder that it was trained with, on one device."""

    model: CascadeModel
    encoder: Encoder


def load_model(name: str | Path, *, device: str = "auto", endpoints: bool = False) -> LoadedModel:
    """A bundle by name or path, and the encoder that it was trained with; see `load_bundle`.

    Raises
    ------
    BundleError
        When there is no such bundle, or the encoder here is not the one of its training.
    EncoderError, DeviceError
        When the encoder or the device is not there.
    """
    where = resolve_device(device)
    model = load_network(name, device=device, endpoints=endpoints)
    try:
        encoder = load_encoder(model.config.encoder.name, device=where)
    except EncoderError as error:
        raise _without_encoder(model.config, error) from error
    # Which colours it is given is the model's to say.
    colors = model.config.encoder.colors
    model.config.check_encoder(dataclasses.replace(encoder_facts(encoder), colors=colors))
    return LoadedModel(model, encoder)


def load_network(
    name: str | Path, *, device: str = "auto", endpoints: bool = False
) -> CascadeModel:
    """A bundle by name or path, without its encoder: for stored features; see `load_bundle`."""
    where = str(resolve_device(device))
    return load_bundle(find_bundle(name), device=where, endpoints=endpoints)


def load_for(
    features: object, name: str | Path, *, device: str = "auto"
) -> LoadedModel | CascadeModel:
    """A bundle with its encoder, or without one where stored features stand in for it."""
    load = load_network if features else load_model
    return load(name, device=device)


def network_of(loaded: LoadedModel | CascadeModel) -> CascadeModel:
    """The networks of a bundle that was loaded with its encoder or without."""
    return loaded.model if isinstance(loaded, LoadedModel) else loaded


def _without_encoder(config: BundleConfig, error: EncoderError) -> EncoderError:
    """The same problem with an additional remedy: stored features need no encoder."""
    before = error.problem.remedy
    remedy = before if isinstance(before, Remedy) else Remedy(before)
    return EncoderError(
        f"the model {config.name}",
        f"needs features of the encoder {config.encoder.name!r}: {error.problem.statement}",
        remedy=Remedy(
            library=f"give its features with features=, or {remedy.library}",
            command_line=f"give its features with --features, or {remedy.on('command line')}",
            window=f"choose its stored features under Features, or {remedy.on('window')}",
        ),
    )


def prepare_given(
    slide: Slide, model: CascadeModel, places: Sequence[Path], *, tissue: TissueMask | None = None
) -> PreparedSlide:
    """Find a slide's stored features and lay out their nodes; no pixel is read for the model.

    Raises
    ------
    MissingPixelSizeError
        When the slide has no µm per pixel.
    FeatureStoreError, BundleError
        When the features are not there, or do not fit slide or model.
    NoTissueError
        When none of them lie in `tissue`.
    """
    mpp = slide.require_mpp()
    features = open_given(slide, places, model.config)
    grids = features.quadtree.grids
    notes: tuple[str, ...] = (
        f"The model ran on stored features ({features.name}): it read no pixels.",
    )
    if len(grids) < model.config.n_depths:
        last = magnification_label(model.config.mpp[len(grids) - 1])
        notes += (f"The features end at {last}, which decides.",)
    notes += (features.note,) if features.note else ()
    plan = DepthPlan(
        tuple(grid.downsample for grid in grids),
        tuple(grid.downsample * mpp for grid in grids),
        notes,
    )
    device = str(next(model.parameters()).device)
    mask = features.tissue(slide)
    prepared = PreparedSlide(slide, model, plan, mask, features.quadtree, features, device)
    return prepared if tissue is None else prepared.with_tissue(tissue)


def prepare(
    slide: Slide,
    model: CascadeModel,
    encoder: Encoder,
    *,
    tissue: TissueMask | None = None,
    keep_features: bool = False,
) -> PreparedSlide:
    """Find the tissue and lay out the quadtree; nothing is encoded yet.

    With `keep_features` those that earlier runs have encoded are used, and new ones are kept for
    later runs (`features.kept`).

    Raises
    ------
    SlideFormatError
        When it is no RGB brightfield slide, or too coarse for the model.
    MissingPixelSizeError
        When it has no µm per pixel.
    SlideReadError
        When most of it cannot be decoded.
    NoTissueError
        When no tissue is found.
    """
    layout = lay_out(slide, model.config.mpp, model.config.patch_size, tissue=tissue)
    plan, mask, quadtree = layout.plan, layout.tissue, layout.quadtree
    colors: Colors = "srgb" if model.config.encoder.sees_srgb else "file"
    if colors == "srgb" and slide.color_profile is None:
        note = "The model sees colours in sRGB; the slide has no colour profile and counts as sRGB."
        plan = dataclasses.replace(plan, notes=(*plan.notes, note))
    kept = kept_features(slide, encoder, colors) if keep_features else None
    features = LazyFeatures(slide, quadtree.grids, encoder, kept=kept, colors=colors)
    return PreparedSlide(slide, model, plan, mask, quadtree, features, str(encoder_device(encoder)))


def encoder_device(encoder: Encoder) -> str:
    """Where an encoder runs, as a name for the record."""
    return str(getattr(encoder, "device", "cpu"))


def slide_summary(slide: Slide) -> SlideSummary:
    """What a result records about a slide."""
    height, width = slide.shape
    return SlideSummary(
        well_formed(slide.name),
        slide.fingerprint,
        float(slide.mpp or 0),
        slide.mpp_source,
        width,
        height,
        slide.reader.backend,
        slide.origin,
        slide.color_profile.name if slide.color_profile else "",
    )


def run_settings(model: CascadeModel, options: Options, *, device: str = "") -> Settings:
    """The settings that a result records; the tissue's hash only where it was drawn."""
    tissue, steering = options.tissue, options.steering
    hashes = options.file_hashes
    return Settings(
        budget=tuple(options.budget or model.config.budget),
        device=device or options.device,
        exhaustive=options.exhaustive,
        colors="srgb" if model.config.encoder.sees_srgb else "file",
        threads=torch.get_num_threads(),
        tissue=Given("detected")
        if tissue is None
        else Given(options.tissue_source, tissue.sha256, hashes.get("tissue", "")),
        steering=Given(
            "given" if steering.sha256 else "none", steering.sha256, hashes.get("steering", "")
        ),
    )


def model_facts(model: CascadeModel) -> ModelFacts:
    """What a result records about a model."""
    config = model.config
    encoder = config.encoder
    return ModelFacts(
        config.name, model.sha256, encoder.name, tuple(config.classes), encoder.weights_sha256
    )
