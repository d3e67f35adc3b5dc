"""Read a slide without napari: python read_slide.py SLIDE OUT.geojson."""

import sys

from napari_hagmil.attention import attention_map, find_regions
from napari_hagmil.export import write_geojson
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options
from napari_hagmil.slide import open_slide

with open_slide(sys.argv[1]) as slide:
    result = analyze_slide(slide, "demo", options=Options(budget=(16, 16)))
    for stage in result.stages:
        print(f"depth {stage.depth}: looked at {len(stage.nodes)} patches")
    if result.prediction is not None:
        shares = result.prediction.probabilities.tolist()
        print(dict(zip(result.model.classes, shares, strict=True)))
    last = result.stages[-1]
    heat = attention_map(result.grids[last.depth], last.nodes, last.attention)
    regions = find_regions(heat, mpp=slide.mpp, slide_shape=slide.shape)
    write_geojson(sys.argv[2], regions, fingerprint=slide.fingerprint)
    print(f"{len(regions)} regions of high attention, the first of {regions[0].area_um2:.0f} µm²")
