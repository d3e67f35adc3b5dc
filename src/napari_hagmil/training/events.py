"""Curves for TensorBoard."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_hagmil.errors import MissingExtraError
from napari_hagmil.training.stagewise import Progress


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
                "event files need TensorBoard's writer; "
                "pip install 'napari-hagmil[tensorboard]', or leave --tensorboard out"
            ) from error
        self._writer: Any = tensorboard.SummaryWriter(str(folder))

    def write(self, progress: Progress) -> None:
        """Add one epoch of one depth."""
        epoch = progress.epoch
        prefix = "teacher" if progress.depth < 0 else f"depth {progress.depth}"
        for name in ("train_loss", "val_loss", "val_auc", "seconds"):
            self._writer.add_scalar(f"{prefix}/{name}", getattr(epoch, name), epoch.number)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
