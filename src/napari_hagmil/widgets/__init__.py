"""The docks: the only package that imports Qt."""

from napari_hagmil.process import prepare_process

# Here, because napari imports this package before any module of it loads torch.
prepare_process()
