"""Features of patches: encoding, storing, importing and exporting them."""

from napari_hagmil.features.encode import EncodeConfig, EncodeEvent, encode_cohort, encoder_facts
from napari_hagmil.features.given import GivenFeatures, open_given
from napari_hagmil.features.importers import ImportConfig, import_cohort
from napari_hagmil.features.kept import KeptFeatures, kept_features
from napari_hagmil.features.layout import FeatureTree, Layout, feature_tree, lay_out, lay_quadtree
from napari_hagmil.features.slide_plane import SlidePlane, columns_of, shifted
from napari_hagmil.features.sources import (
    EncodingProgress,
    FeatureSource,
    FromDepth,
    LazyFeatures,
    in_context,
)
from napari_hagmil.features.store import FeatureStore, open_store, store_path
from napari_hagmil.features.store_metadata import FeatureKey

__all__ = [
    "EncodeConfig",
    "EncodeEvent",
    "EncodingProgress",
    "FeatureKey",
    "FeatureSource",
    "FeatureStore",
    "FeatureTree",
    "FromDepth",
    "GivenFeatures",
    "ImportConfig",
    "KeptFeatures",
    "Layout",
    "LazyFeatures",
    "SlidePlane",
    "columns_of",
    "encode_cohort",
    "encoder_facts",
    "feature_tree",
    "import_cohort",
    "in_context",
    "kept_features",
    "lay_out",
    "lay_quadtree",
    "open_given",
    "open_store",
    "shifted",
    "store_path",
]
