"""Where real data is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real slides and patches: HAGMIL_DATA, or ../shared/data beside the project.

    Absent data skips a test on a user's machine, and fails it where CI=true.
    """
    path = Path(os.environ.get("HAGMIL_DATA", _PROJECT.parent / "shared" / "data"))
    if not path.is_dir():
        reason = f"{path} does not exist; set HAGMIL_DATA to the folder with real data"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def slides_dir(data_dir: Path) -> Path:
    """Real slides."""
    return data_dir / "slides"
