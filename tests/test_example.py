"""The example of the Python interface: it runs, needs no napari, and is what the page shows."""

import json
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLE = DOCS / "examples" / "read_slide.py"

#: Runs a script as a program, and fails where it needed napari or Qt.
RUN = (
    "import runpy, sys; runpy.run_path(sys.argv[0], run_name='__main__'); "
    "assert not {'napari', 'qtpy'} & set(sys.modules)"
)


def test_the_example_reads_a_slide_without_napari(phantom, tmp_path):
    out = tmp_path / "regions.geojson"
    run = RUN.replace("sys.argv[0]", repr(str(EXAMPLE)))
    done = subprocess.run(
        [sys.executable, "-c", run, str(phantom), str(out)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'tumor'" in done.stdout
    assert json.loads(out.read_text())["features"]


def test_the_page_shows_the_example_as_it_is():
    code = EXAMPLE.read_text("utf-8")
    assert f"```python\n{code}```" in (DOCS / "reference" / "python.md").read_text("utf-8")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
