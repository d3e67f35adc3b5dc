"""Curves for TensorBoard."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_hagmil.errors import MissingExtraError
from napari_hagmil.training.run_state import DepthEpoch


class EventWriter:
    """Writes every epoch as TensorBoard scalars; a context manager.

    Parameters
    ----------
    folder : Path
        Where the event file goes.

    Raises
    ------
    MissingExtraError
        When TensorBoard's writer is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            tensorboard = import_module("torch.utils.tensorboard")
        except ImportError as error:
            raise MissingExtraError(
                "event files",
                "need TensorBoard's writer",
                remedy="pip install 'napari-hagmil[tensorboard]', or leave --tensorboard out",
            ) from error
        self._writer: Any = tensorboard.SummaryWriter(str(folder))

    def write(self, one: DepthEpoch) -> None:
        """Add one epoch of one depth."""
        prefix = "teacher" if one.depth < 0 else f"depth {one.depth}"
        for name in ("train_loss", "val_loss", "val_auc", "seconds"):
            self._writer.add_scalar(f"{prefix}/{name}", getattr(one.epoch, name), one.epoch.number)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
