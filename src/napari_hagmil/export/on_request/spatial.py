"""An analysis as a SpatialData object, for the tools of the scverse (an optional extra)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.cascade.result import SlideResult, Stage, node_statuses
from napari_hagmil.errors import MissingExtraError
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.export.result_json import result_document
from napari_hagmil.export.result_reader import read_result
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification_label, to_file_xy
from napari_hagmil.polygons import Rings, valid_parts


def write_spatialdata(folder: str | Path, path: str | Path) -> None:
    """Write what `analyze` found as a SpatialData store.

    Shapes ``tissues``, ``attention_regions`` and ``tiles_10x``, ``tiles_20x`` … (a rectangle per
    patch that was looked at, with row, column, attention, score, rank and status); facts of
    slide, model and prediction under ``attrs["napari_hagmil"]``. Coordinates are (x, y) with pixel
    edges at integers: level-0 px in the system ``global``, µm in ``micrometer``.

    Parameters
    ----------
    folder : path
        What `analyze` has written.
    path : path
        The store (a Zarr folder); replaced whole.

    Raises
    ------
    MissingExtraError
        When spatialdata is not installed.
    ResultError
        When the folder holds no analysis.
    OutputError
        When the store cannot be written.
    """
    spatialdata = _spatialdata()
    folder, result = Path(folder), read_result(folder)
    shapes = {
        name: _areas(read_polygons(folder / file))
        for name, file in (("tissues", "tissue.geojson"), ("attention_regions", "regions.geojson"))
        if (folder / file).is_file()
    }
    shapes |= {_tiles_name(result, stage): _tiles(result, stage) for stage in result.stages}
    placed = {
        name: _placed(frame, result.slide.mpp) for name, frame in shapes.items() if len(frame)
    }
    said = result_document(result)
    facts = {key: said[key] for key in ("schema", "purpose", "slide", "model", "prediction")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        made = spatialdata.SpatialData(shapes=placed, attrs={"napari_hagmil": facts})
        with replacing(Path(path)) as draft:
            made.write(draft)


def _tiles_name(result: SlideResult, stage: Stage) -> str:
    mpp = result.slide.mpp * result.grids[stage.depth].downsample
    return f"tiles_{magnification_label(mpp).replace('×', 'x')}"


def _areas(polygons: Sequence[Rings]) -> Any:
    import geopandas
    from shapely.geometry import Polygon

    parts = [part for one in polygons for part in valid_parts(one)]
    made = [
        Polygon(to_file_xy(one.outer), [to_file_xy(hole) for hole in one.holes]) for one in parts
    ]
    return geopandas.GeoDataFrame({"area_px2": [one.area for one in made]}, geometry=made)


def _tiles(result: SlideResult, stage: Stage) -> Any:
    import geopandas
    import shapely

    grid, slide = result.grids[stage.depth], result.slide
    bounds = slide.height, slide.width, slide.height, slide.width
    y0, x0, y1, x1 = np.clip(grid.edges(stage.nodes), 0, bounds).T
    kept = (y1 > y0) & (x1 > x0)
    last = stage.depth == len(result.grids) - 1
    columns: dict[str, Any] = {
        "row": stage.nodes[:, 0],
        "column": stage.nodes[:, 1],
        "attention": stage.attention,
        "score": stage.scores,
        "rank": stage.ranks,
        "status": np.array(node_statuses(stage, last=last), dtype=object),
    }
    boxes = shapely.box(x0, y0, x1, y1)[kept]
    return geopandas.GeoDataFrame({k: v[kept] for k, v in columns.items()}, geometry=boxes)


def _placed(frame: Any, mpp: float) -> Any:
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity, Scale

    systems = {"global": Identity(), "micrometer": Scale([mpp, mpp], axes=("x", "y"))}
    return ShapesModel.parse(frame, transformations=systems)


def _spatialdata() -> Any:
    try:
        import spatialdata
    except ImportError as error:
        raise MissingExtraError(
            "A SpatialData store",
            "needs spatialdata, which is not installed",
            remedy="run: pip install 'napari-hagmil[spatialdata]'",
        ) from error
    return spatialdata
