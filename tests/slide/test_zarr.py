"""OME-Zarr and Zarr: metadata, channels, addresses, damage and malice."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import made_slides as made
import numcodecs
import numpy as np
import pytest
import zarr

from napari_hagmil.errors import MissingExtraError, SlideFormatError, SlideReadError
from napari_hagmil.slide import open_slide, slide_info
from napari_hagmil.slide.interface import Placement
from napari_hagmil.slide.location import local_path, url_of


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(100, 250, (600, 500, 3), np.uint8)
    return made.halved(noise, (1, 2))


@pytest.fixture
def slide_zarr(pictures, tmp_path: Path) -> Path:
    return made.write_zarr(tmp_path / "slide.zarr", pictures)


# -- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://host/a/b.zarr", "https://host/a/b.zarr"),
        ("s3://bucket/a.zarr", "s3://bucket/a.zarr"),
        ("simplecache::s3://bucket/a", "simplecache::s3://bucket/a"),
        ("memory://a.zarr", "memory://a.zarr"),
        ("/data/a.zarr", None),
        ("a.svs", None),
        ("C:/slides/a.svs", None),
        ("file:///data/a.zarr", None),
    ],
)
def test_an_address_survives_a_path(text: str, url: str | None) -> None:
    assert url_of(text) == url
    assert url_of(Path(text)) == url


def test_a_file_address_is_a_path() -> None:
    assert local_path("file:///data/a.zarr") == Path("/data/a.zarr")
    assert local_path(Path("file:///data/a.zarr")) == Path("/data/a.zarr")


def test_a_slide_in_memory_is_read_by_its_address(pictures, slide_zarr: Path) -> None:
    fsspec.filesystem("memory").put(str(slide_zarr), "/made/slide.zarr", recursive=True)
    with open_slide("memory://made/slide.zarr") as far, open_slide(slide_zarr) as near:
        assert far.fingerprint == near.fingerprint
        assert far.name == "slide.zarr"
        np.testing.assert_array_equal(
            far.read(0, (33, 44), (500, 400)), pictures[0][33:533, 44:444]
        )
        assert slide_info(far)["backend_reason"] == "OME-Zarr 0.5 behind a URL"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def test_a_slide_on_a_web_server_is_read_by_its_address(pictures, slide_zarr: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra remote is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=slide_zarr.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with open_slide(f"{address}/slide.zarr") as slide:
            got = slide.read(1, (10, 20), (200, 150))
            np.testing.assert_array_equal(got, pictures[1][10:210, 20:170])
        with pytest.raises(SlideFormatError, match=r"gone\.zarr is no Zarr that can be read"):
            open_slide(f"{address}/gone.zarr")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(SlideFormatError, match="is no Zarr that can be read"):
        open_slide(f"{address}/slide.zarr")


def test_an_address_whose_package_is_missing_names_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="run: pip install s3fs"):
        open_slide("s3://bucket/slide.zarr")

    def without_aiohttp(*_: object, **__: object) -> None:
        raise ImportError("HTTPFileSystem requires aiohttp")

    monkeypatch.setattr(fsspec, "url_to_fs", without_aiohttp)
    with pytest.raises(MissingExtraError, match=r"pip install 'napari-hagmil\[remote\]'"):
        open_slide("https://host/slide.zarr")


def test_an_unknown_protocol_is_one_sentence() -> None:
    with pytest.raises(SlideFormatError, match="cannot be reached"):
        open_slide("gopher://host/slide.zarr")


# -- metadata -----------------------------------------------------------------------------


def image(axes: str, scale: list[float], unit: str = "micrometer", **more: object) -> dict:
    kinds = {"t": "time", "c": "channel"}
    stated = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in stated:
        if axis["type"] == "space":
            axis["unit"] = unit
    transforms = [{"type": "scale", "scale": scale}]
    datasets = [{"path": "0", "coordinateTransformations": transforms}]
    return {"multiscales": [{"axes": stated, "datasets": datasets}]} | more


def write_one(path: Path, pixels: np.ndarray, metadata: dict, **options: object) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=pixels, **options)
    group.attrs["ome"] = {"version": "0.5"} | metadata
    return path


def test_fluorescence_channels_keep_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 60000, (1, 3, 2, 90, 80)).astype(np.uint16)
    omero = {"channels": [{"label": n, "color": "0000FF"} for n in ("DAPI", "CD3", "CD8")]}
    metadata = image("tczyx", [1, 1, 1, 0.25, 0.25], omero=omero)
    with open_slide(write_one(tmp_path / "if.zarr", pixels, metadata)) as slide:
        info = slide_info(slide)
        assert info["channel_names"] == ["DAPI", "CD3", "CD8"]
        assert not slide.is_brightfield
        assert slide.mpp == 0.25
        assert any("has 2 focal planes; the first is shown" in w for w in slide.warnings)
        got = slide.read(0, (0, 0), (90, 80))
        np.testing.assert_array_equal(got, np.moveaxis(pixels[0, :, 0], 0, -1))


@pytest.mark.parametrize(
    ("unit", "mpp"), [("micrometer", 0.5), ("nanometer", None), ("millimeter", None), ("", None)]
)
def test_the_pixel_size_has_a_unit_and_is_plausible(tmp_path, unit, mpp) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    with open_slide(write_one(tmp_path / "a.zarr", pixels, image("yx", [0.5, 0.5], unit))) as slide:
        assert slide.mpp == mpp


@pytest.mark.parametrize("unit", ["um", "µm", "Micron", "micrometers", " um "])
def test_a_unit_that_is_not_spelled_out_is_known(tmp_path, unit) -> None:
    """ome-zarr-models/ome-zarr-book#1, saalfeldlab/n5-ij#125."""
    pixels = np.zeros((64, 64), np.uint8)
    with open_slide(write_one(tmp_path / "a.zarr", pixels, image("yx", [0.5, 0.5], unit))) as slide:
        assert slide.mpp == 0.5


def test_axes_that_an_early_version_does_not_state_are_its_own(tmp_path) -> None:
    metadata = image("tczyx", [1, 1, 1, 0.5, 0.5], "")
    del metadata["multiscales"][0]["axes"]
    metadata["multiscales"][0]["version"] = "0.1"
    pixels = np.arange(3 * 64 * 48, dtype=np.uint16).reshape(1, 3, 1, 64, 48)
    with open_slide(write_one(tmp_path / "a.zarr", pixels, metadata)) as slide:
        assert (slide.shape, slide.n_channels, slide.mpp) == ((64, 48), 3, None)


def test_scales_of_levels_and_of_the_picture_multiply(tmp_path: Path) -> None:
    metadata = image("yx", [0.5, 0.25], "micrometer")
    whole = [{"type": "scale", "scale": [0.5, 2.0]}]
    metadata["multiscales"][0]["coordinateTransformations"] = whole
    with open_slide(
        write_one(tmp_path / "a.zarr", np.zeros((64, 64), np.uint8), metadata)
    ) as slide:
        assert slide.reader.facts.pixel_sizes[0].mpp == (0.25, 0.5)
        assert any("not square" in w for w in slide.warnings)


def collection(path: Path, parts: dict[str, list[np.ndarray]], *, xml: bool = True) -> Path:
    """Pictures by name, in bioformats2raw's layout; `xml`: named in OME-XML, else in themselves."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    root.create_group("OME").attrs["series"] = [str(i) for i in range(len(parts))]
    images = []
    for i, (name, levels) in enumerate(parts.items()):
        made.write_zarr(path / str(i), levels, "0.4")
        if not xml:
            group = zarr.open_group(path / str(i), mode="r+")
            group.attrs["multiscales"] = [{**group.attrs["multiscales"][0], "name": name}]
        height, width = levels[0].shape[:2]
        pixels = f'<Pixels SizeX="{width}" SizeY="{height}"/>'
        images.append(f'<Image ID="Image:{i}" Name="{name}">{pixels}</Image>')
    if xml:
        (path / "OME/METADATA.ome.xml").write_text(f"<OME>{''.join(images)}</OME>")
    return path


@pytest.mark.parametrize("xml", [True, False])
def test_a_collection_that_begins_with_the_macro_opens_its_scan(
    pictures, tmp_path: Path, xml: bool
) -> None:
    large = [np.full((700, 900, 3), 90, np.uint8)]
    parts = {"macro image": large, "a.svs": pictures, "a.svs - label": large}
    with open_slide(collection(tmp_path / "a.zarr", parts, xml=xml)) as slide:
        np.testing.assert_array_equal(slide.read(0, (0, 0), (600, 500)), pictures[0])
        assert slide.associated == ("macro", "label")
        assert slide.mpp == pytest.approx(made.MPP)


def test_a_collection_without_names_opens_the_largest_picture_and_not_the_photograph(
    pictures, tmp_path: Path
) -> None:
    photograph = [np.full((700, 900, 3), 90, np.uint8)]
    parts = {"": photograph, " ": [pictures[1]], "  ": pictures}
    path = collection(tmp_path / "a.zarr", parts)
    group = zarr.open_group(path / "0", mode="r+")
    image = group.attrs["multiscales"][0]
    image["datasets"][0]["coordinateTransformations"][0]["scale"] = [1, 15, 15]
    group.attrs["multiscales"] = [image]
    with open_slide(path) as slide:
        assert slide.shape == (600, 500)
        assert slide.associated == ("macro", "other")


def test_a_collection_of_one_picture_that_lists_none_opens_it(pictures, tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "series.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    made.write_zarr(tmp_path / "series.zarr" / "0", pictures, "0.4")
    with open_slide(tmp_path / "series.zarr") as slide:
        np.testing.assert_array_equal(slide.read(0, (0, 0), (600, 500)), pictures[0])


def test_a_collection_on_a_web_server_is_told_by_its_ome_xml(pictures, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra remote is not installed")
    collection(tmp_path / "a.zarr", {"macro": [pictures[0]], "scan": [pictures[1]]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_slide(f"http://127.0.0.1:{server.server_port}/a.zarr") as slide:
            assert slide.associated == ("macro",)
    finally:
        server.shutdown()
        server.server_close()


def test_a_collection_says_which_picture_it_lacks(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    root.create_group("OME").attrs["ome"] = {"version": "0.5", "series": ["scan"]}
    with pytest.raises(SlideFormatError, match="no picture scan"):
        open_slide(tmp_path / "a.zarr")


def test_a_place_in_a_shared_frame_is_known(tmp_path: Path) -> None:
    metadata = image("yx", [2.0, 4.0], "millimeter")
    transforms = metadata["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    transforms.append({"type": "translation", "translation": [1.0, 3.0]})
    metadata["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [0.5, 0.5]},
        {"type": "translation", "translation": [0.25, 0.0]},
    ]
    path = write_one(tmp_path / "a.zarr", np.zeros((64, 64), np.uint8), metadata)
    with open_slide(path) as slide:
        assert slide.reader.facts.placement == Placement((1e3, 2e3), (750.0, 1500.0))


def test_a_plain_pyramid_is_told_from_its_shapes(pictures, tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "plain.zarr", mode="w")
    for name, picture in zip(("full", "half"), pictures, strict=True):
        group.create_array(name, data=picture, chunks=(128, 128, 3))
    with open_slide(tmp_path / "plain.zarr") as slide:
        assert slide.downsamples == ((1, 1), (2, 2))
        np.testing.assert_array_equal(slide.read(1, (0, 0), (300, 250)), pictures[1])


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"multiscales": []}, "metadata is malformed"),
        ({"multiscales": [{"axes": "yx"}]}, "metadata is malformed"),
        ({"multiscales": [{"axes": [{"name": "q"}, {"name": "x"}], "datasets": [{"path": "0"}]}]},
         "its axes are 'qx'"),
        ({"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "7"}]}]}, "malformed"),
        ({"plate": {}}, "is a plate of many pictures"),
        ({"bioformats2raw.layout": 3}, "no picture 0"),
    ],
)  # fmt: skip
def test_malformed_metadata_is_one_sentence(tmp_path: Path, metadata: dict, says: str) -> None:
    path = write_one(tmp_path / "bad.zarr", np.zeros((64, 64), np.uint8), metadata)
    with pytest.raises(SlideFormatError, match=says) as caught:
        open_slide(path)
    assert str(caught.value).startswith("bad.zarr")


# -- absent, damaged, malicious -----------------------------------------------------------


def test_an_absent_chunk_is_background_and_the_slide_says_so(pictures, slide_zarr: Path) -> None:
    (slide_zarr / "0/c/0/1/0").unlink()
    with open_slide(slide_zarr) as slide:
        assert (slide.read(0, (256, 0), (256, 256)) == 255).all()
        assert any("no pixels for 1 of 6 tiles of level 0" in w for w in slide.warnings)
        np.testing.assert_array_equal(slide.read(0, (0, 0), (256, 256)), pictures[0][:256, :256])


def test_a_chunk_that_is_cut_short_is_unread(pictures, slide_zarr: Path) -> None:
    chunk = slide_zarr / "0/c/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-50])
    with open_slide(slide_zarr) as slide, pytest.raises(SlideReadError, match="row 0, column 0"):
        slide.read(0, (0, 0), (10, 10))


def bomb(n_bytes: int, codec: str) -> bytes:
    """A small chunk that decodes, or claims to decode, to far more."""
    if codec == "zstd":
        return bytes(numcodecs.Zstd().encode(bytes(n_bytes)))
    if codec == "blosc":
        return bytes(numcodecs.Blosc().encode(np.zeros(n_bytes, np.uint8)))
    return {"zlib": zlib, "gzip": gzip}[codec].compress(bytes(n_bytes), 9)


@pytest.mark.parametrize("codec", ["zstd", "blosc", "zlib"])
def test_a_chunk_that_swells_is_not_decoded(tmp_path: Path, codec: str) -> None:
    compressor = {"zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc(), "zlib": numcodecs.Zlib()}
    pixels = np.full((256, 256), 9, np.uint8)
    zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels,
        chunks=(256, 256),
        compressors=compressor[codec],
        zarr_format=2,
    )
    (tmp_path / "a.zarr" / "0.0").write_bytes(bomb(200_000_000, codec))
    with open_slide(tmp_path / "a.zarr") as slide, pytest.raises(SlideReadError, match="it swells"):
        slide.read(0, (0, 0), (10, 10))


def test_chunks_that_hold_nothing_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = made.write_zarr(tmp_path / "a.zarr", [np.zeros((64, 64, 3), np.uint8)], "0.4")
    document = next(path.rglob(".zarray"))
    content = json.loads(document.read_text())
    content["chunks"][0] = 0
    document.write_text(json.dumps(content))
    # Newer versions of zarr refuse it themselves.
    with pytest.raises(
        SlideFormatError, match=r"^a\.zarr .*(write it again|copy the folder again)"
    ):
        open_slide(path)


def test_a_shard_of_swelling_chunks_is_not_decoded(tmp_path: Path) -> None:
    pixels = np.full((256, 256), 9, np.uint8)
    array = zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels,
        chunks=(128, 128),
        shards=(256, 256),
        compressors=[zarr.codecs.GzipCodec()],
    )
    shard = tmp_path / "a.zarr/c/0/0"
    chunk = bomb(100_000_000, "gzip")
    index = np.array([[0, len(chunk)], *[[2**64 - 1] * 2] * 3], np.uint64).tobytes()
    crc = numcodecs.CRC32C(location="end").encode(index)[-4:]
    shard.write_bytes(chunk + index + bytes(crc))
    assert array.shards
    with open_slide(tmp_path / "a.zarr") as slide, pytest.raises(SlideReadError, match="it swells"):
        slide.read(0, (0, 0), (256, 256))


@pytest.mark.parametrize(
    ("key", "codec"),
    [
        ("compressor", {"id": "pickle", "protocol": 5}),
        ("filters", [{"id": "pickle", "protocol": 5}]),
        ("compressor", {"id": "lzma"}),
    ],
)
def test_codecs_that_run_code_or_have_no_bound_are_refused(tmp_path, key, codec) -> None:
    zarr.create_array(
        tmp_path / "a.zarr", data=np.zeros((64, 64), np.uint8), chunks=(64, 64), zarr_format=2
    )
    document = tmp_path / "a.zarr/.zarray"
    facts = json.loads(document.read_text()) | {key: codec}
    document.write_text(json.dumps(facts))
    with pytest.raises(SlideFormatError, match=r"pickle|codec lzma, which is not read"):
        open_slide(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("shape", "chunks", "says"),
    [
        ([2**33, 64], [64, 64], "more than any slide"),
        ([2 * 10**6] * 2, [1024] * 2, "gigapixels"),
        ([10**6] * 2, [10**5] * 2, "declares tiles"),
        ([10**6] * 2, [64] * 2, r"is cut into 244140625 tiles of 64×64 pixels"),
    ],
)
def test_absurd_sizes_are_refused(tmp_path: Path, shape, chunks, says) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((64, 64), np.uint8), zarr_format=2)
    document = tmp_path / "a.zarr/.zarray"
    facts = json.loads(document.read_text()) | {"shape": shape, "chunks": chunks}
    document.write_text(json.dumps(facts))
    with pytest.raises(SlideFormatError, match=says):
        open_slide(tmp_path / "a.zarr")


def test_an_empty_address_is_one_sentence_without_the_names_of_stores(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zattrs").write_text("{}")
    for address in (tmp_path / "a.zarr", "memory://nothing.zarr"):
        with pytest.raises(SlideFormatError, match="no array or group is there") as why:
            open_slide(address)
        assert "Store" not in str(why.value)


@pytest.mark.timeout(60)
def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="the extra remote is not installed")
    monkeypatch.setattr("napari_hagmil.slide.formats.ome_zarr.store._SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/slide.zarr"
        with pytest.raises(SlideFormatError, match=r"slide\.zarr is no Zarr"):
            open_slide(address)
