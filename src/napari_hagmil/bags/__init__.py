"""Bags of features, and where they come from."""

from napari_hagmil.bags.context import in_context
from napari_hagmil.bags.sources import EncodingProgress, FeatureSource, LazyFeatures

__all__ = ["EncodingProgress", "FeatureSource", "LazyFeatures", "in_context"]
