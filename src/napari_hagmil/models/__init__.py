"""Models of bags, in plain torch: the cascade of the paper, its parts, and the baselines."""

from napari_hagmil.models.bundle import bundle_sha256, load_bundle, save_bundle
from napari_hagmil.models.cascade import CascadeModel
from napari_hagmil.models.checkpoints.convert import convert_checkpoint
from napari_hagmil.models.checkpoints.official import OfficialFacts, convert_official
from napari_hagmil.models.checkpoints.published import (
    PublishedFacts,
    convert_published,
    load_published,
)
from napari_hagmil.models.config import BundleConfig, EncoderFacts
from napari_hagmil.models.endpoint import SURVIVAL, Endpoint, EndpointKind
from napari_hagmil.models.iat import BlockOutput, IATConfig, IntegratedAttentionTransformer
from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import LossConfig
from napari_hagmil.models.nystrom import NystromAttention
from napari_hagmil.models.stage import BaselineConfig, StageConfig, build_stage

__all__ = [
    "SURVIVAL",
    "BagLoss",
    "BagModel",
    "BagOutput",
    "BaselineConfig",
    "BlockOutput",
    "BundleConfig",
    "CascadeModel",
    "EncoderFacts",
    "Endpoint",
    "EndpointKind",
    "IATConfig",
    "IntegratedAttentionTransformer",
    "LossConfig",
    "NystromAttention",
    "OfficialFacts",
    "PublishedFacts",
    "StageConfig",
    "build_stage",
    "bundle_sha256",
    "convert_checkpoint",
    "convert_official",
    "convert_published",
    "load_bundle",
    "load_published",
    "save_bundle",
]
