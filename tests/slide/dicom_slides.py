"""A DICOM whole-slide image of several levels, lossless: what pydicom writes and wsidicom reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from made_slides import MPP, Picture, _tiles
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEG2000Lossless, VLWholeSlideMicroscopyImageStorage, generate_uid

SIDE = 256


def write_dicom(path: Path, levels: Sequence[Picture], mpp: float = MPP) -> Path:
    """Write a folder with an instance per level, `level-0.dcm` first."""
    path.mkdir()
    uids = {
        name: generate_uid(entropy_srcs=[name])
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    for index, level in enumerate(levels):
        instance = _instance(levels, index, mpp)
        for name, uid in uids.items():
            setattr(instance, name, uid)
        frames = [
            imagecodecs.jpeg2k_encode(tile, codecformat="j2k", reversible=True, mct=True)
            for tile in _tiles(level, SIDE)
        ]
        instance.NumberOfFrames = len(frames)
        instance.PixelData = encapsulate(frames)
        instance.save_as(path / f"level-{index}.dcm", enforce_file_format=True)
    return path


def _instance(levels: Sequence[Picture], index: int, mpp: float) -> Dataset:
    height, width = levels[index].shape[:2]
    step = levels[0].shape[0] / height
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEG2000Lossless
    made.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.SOPInstanceUID = generate_uid(entropy_srcs=[f"level {index}"])
    made.Modality = "SM"
    made.Manufacturer = "secret"  # nothing of this kind is told
    made.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if index else "NONE"]
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "YBR_RCT"
    made.PlanarConfiguration = made.PixelRepresentation = 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.Rows = made.Columns = SIDE
    made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns = height, width
    made.ImagedVolumeHeight, made.ImagedVolumeWidth = (
        side * mpp / 1000 for side in levels[0].shape[:2]
    )
    made.ImagedVolumeDepth = 0.001
    made.ImageOrientationSlide = [0, 1, 0, 1, 0, 0]
    made.TotalPixelMatrixOriginSequence = Items([_origin()])
    made.DimensionOrganizationType = "TILED_FULL"
    made.TotalPixelMatrixFocalPlanes = made.NumberOfOpticalPaths = 1
    made.FocusMethod, made.ExtendedDepthOfField = "AUTO", "NO"
    measures = Dataset()
    measures.PixelSpacing = [mpp * step / 1000] * 2
    measures.SliceThickness, measures.SpacingBetweenSlices = 0.001, 0.001
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    made.SharedFunctionalGroupsSequence = Items([shared])
    made.OpticalPathSequence = Items([_light()])
    return made


def _origin() -> Dataset:
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    return origin


def _light() -> Dataset:
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.ObjectiveLensPower = 20
    return path


def spoil_first_frame(folder: Path) -> None:
    """Overwrite the first frame of level 0 with noise."""
    path = folder / "level-0.dcm"
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\x4f\xff\x51")  # where a JPEG 2000 codestream begins
    n_bytes = int.from_bytes(data[start - 4 : start], "little")
    data[start : start + n_bytes] = np.random.default_rng(3).bytes(n_bytes)
    path.write_bytes(data)
