"""Results as files that other programs read; nothing is ever half written."""

from napari_hagmil.export.analysis import Thumbnail, write_analysis
from napari_hagmil.export.geojson import region_feature, write_features, write_geojson
from napari_hagmil.export.geojson_reader import read_geojson
from napari_hagmil.export.ome_zarr import write_attention_zarr
from napari_hagmil.export.pictures.overview import overview_picture, write_overview
from napari_hagmil.export.report.facts import write_report
from napari_hagmil.export.result_json import write_result
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.tables import nodes_table, write_nodes

__all__ = [
    "ReviewWish",
    "Thumbnail",
    "nodes_table",
    "overview_picture",
    "read_geojson",
    "region_feature",
    "write_analysis",
    "write_attention_zarr",
    "write_features",
    "write_geojson",
    "write_nodes",
    "write_overview",
    "write_report",
    "write_result",
    "write_review",
]
