"""``python -m napari_hagmil`` is the command ``napari-hagmil``."""

from __future__ import annotations

from napari_hagmil.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
