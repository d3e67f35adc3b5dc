"""What a user gets: the wheel, the sdist, the wheel of the sdist, the editable install."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml

import napari_hagmil

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "napari_hagmil"
MANIFEST = yaml.safe_load((ROOT / "napari.yaml").read_text("utf-8"))
BUNDLE_FILES = ("model.safetensors", "config.json")
#: What hatchling needs of the checkout; caches and the virtual environment stay behind.
SOURCES = (
    "src",
    "tests",
    "docs",
    ".ci",
    ".gitignore",
    "hatch_build.py",
    "mkdocs.yml",
    "napari.yaml",
    "pyproject.toml",
)
SOURCES += ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, fail the test with what it said, and return what it wrote."""
    # An installed package is under test: no other may stand before it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a ``wheel`` or an ``sdist`` of ``source``, without the network."""
    run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", out, source)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that building leaves no trace in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                folder / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        # Python before 3.11.4, Debian 12's among them, has no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def wheel_of_sdist(unpacked_sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", unpacked_sdist, tmp_path_factory.mktemp("wheel_of_sdist"))


def install(folder: Path, *what: str | Path) -> Path:
    """Install the package alone into a new environment that sees this one's dependencies."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    run(*pip, "--no-build-isolation", "--ignore-installed", "--no-warn-conflicts", *what)
    return folder


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def shipped_bundles() -> list[str]:
    return sorted(folder.name for folder in (PACKAGE / "bundles").glob("*.hagmil"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wheel", "wheel_of_sdist"])
def test_wheel_holds_everything(name: str, request: pytest.FixtureRequest) -> None:
    files = files_of(request.getfixturevalue(name))
    assert files["napari_hagmil/napari.yaml"] == (ROOT / "napari.yaml").read_bytes()
    assert "napari_hagmil/py.typed" in files
    for module in PACKAGE.rglob("*.py"):
        assert f"napari_hagmil/{module.relative_to(PACKAGE).as_posix()}" in files
    for bundle in shipped_bundles():
        for member in BUNDLE_FILES:
            assert f"napari_hagmil/bundles/{bundle}/{member}" in files
    assert not [file for file in files if file.startswith(("tests", "docs"))]
    assert any(file.endswith("licenses/LICENSE") for file in files)
    (metadata,) = (text for file, text in files.items() if file.endswith("/METADATA"))
    targets = re.findall(r"\]\(([^)]*)\)", metadata.decode())
    assert targets, "the description has no links: is it the README?"
    assert not [one for one in targets if not one.startswith("https://")]


@pytest.mark.slow
def test_both_wheels_are_the_same(wheel: Path, wheel_of_sdist: Path) -> None:
    assert files_of(wheel) == files_of(wheel_of_sdist)


@pytest.mark.slow
def test_sdist_can_be_worked_on(unpacked_sdist: Path) -> None:
    """The sdist brings what ``make`` needs, and both ways to the manifest lead to it."""
    for name in ("Makefile", ".ci/run", ".ci/constraints.txt", "tests/test_packaging.py"):
        assert (unpacked_sdist / name).is_file(), name
    manifest = unpacked_sdist / "src" / "napari_hagmil" / "napari.yaml"
    assert manifest.read_bytes() == (unpacked_sdist / "napari.yaml").read_bytes()


def test_the_demo_model_ships() -> None:
    assert shipped_bundles(), "src/napari_hagmil/bundles holds no .hagmil folder"
    size = sum(file.stat().st_size for file in PACKAGE.glob("bundles/*.hagmil/*"))
    assert size <= 8e6, f"the bundles take {size / 1e6:.1f} MB, more than 8 MB"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wheel", "wheel of sdist", "editable"])
def test_installed_plugin(how: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """napari finds the plugin, and the command runs, from each kind of install."""
    if how == "editable":
        checkout = request.getfixturevalue("checkout")
        environment, home = install(tmp_path / "env", "--editable", checkout), checkout
    else:
        built = request.getfixturevalue(how.replace(" ", "_"))
        environment = home = install(tmp_path / "env", built)
    python = environment / "bin" / "python"
    where = run(python, "-c", "import napari_hagmil as n; print(n.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(home)
    found = run(python, "-m", "npe2", "validate", "napari-hagmil", cwd=tmp_path)
    assert "valid" in found
    listed = run(python, "-m", "npe2", "list", "--fields", "name,version", cwd=tmp_path)
    assert "napari-hagmil" in listed
    version = run(environment / "bin" / "napari-hagmil", "--version", cwd=tmp_path)
    assert version.split() == ["napari-hagmil", napari_hagmil.__version__]
    assert run(python, "-m", "napari_hagmil", "--version", cwd=tmp_path) == version


@pytest.mark.parametrize("command", MANIFEST["contributions"]["commands"], ids=lambda c: c["id"])
def test_manifest_names_exist(command: dict[str, str]) -> None:
    module, name = command["python_name"].split(":")
    assert callable(getattr(import_module(module), name))


def test_manifest_offers_only_its_commands() -> None:
    contributions = MANIFEST["contributions"]
    known = {command["id"] for command in contributions["commands"]}
    used = {
        offer["command"]
        for kind in ("readers", "writers", "sample_data", "widgets")
        for offer in contributions[kind]
    }
    used |= {offer["command"] for menu in contributions["menus"].values() for offer in menu}
    in_the_palette = {
        command["id"]
        for command in contributions["commands"]
        if command["python_name"].startswith("napari_hagmil.widgets.commands:")
    }
    assert used <= known
    assert known - used <= in_the_palette


def test_manifest_in_the_package_is_a_copy_of_the_one_at_the_root() -> None:
    """No symlink: a Windows checkout makes a text file of it, and the wheel holds that."""
    assert not (PACKAGE / "napari.yaml").is_symlink()
    assert (PACKAGE / "napari.yaml").read_bytes() == (ROOT / "napari.yaml").read_bytes()


@pytest.mark.slow
def test_no_wheel_is_built_of_two_manifests(checkout: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(checkout, source, ignore=shutil.ignore_patterns("*.hagmil"))
    (source / "src" / "napari_hagmil" / "napari.yaml").write_text("../../napari.yaml")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode != 0
    assert "differs from the manifest at the root" in built.stdout + built.stderr


#: Declared and not imported by name, with the reason.
NOT_IMPORTED = {
    "lazyslide-models": "encoders.families.libraries imports it by its name",
    "numcodecs": "zarr decodes with it; older ones run code for a store that asks for it",
    "onnx": "torch.onnx writes graphs with it",
    "openslide-bin": "the library that openslide-python loads",
    "pyqt6": "qtpy loads the binding that it finds",
    "pyside6": "qtpy loads the binding that it finds",
    "pyqt6-qt6": "PyQt6's own Qt, declared to leave out two broken releases",
    "tensorboard": "torch.utils.tensorboard writes with it",
    "timm": "encoders.families.libraries imports it by its name",
    "transformers": "encoders.families.libraries imports it by its name",
}


def test_everything_declared_is_imported_or_says_why() -> None:
    """No dependency and no extra promises what no code uses."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.split(r"[^\w.-]", line)[0].lower() for lines in lists for line in lines}
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add((node.module or "").split(".")[0])
    owners = packages_distributions()
    imported = {
        owner.lower().replace("_", "-") for name in used for owner in owners.get(name, [name])
    }
    unused = declared - imported - {"napari-hagmil"}
    unexplained = unused - NOT_IMPORTED.keys()
    assert not unexplained, f"declared, but nothing imports them: {sorted(unexplained)}"
    gone = NOT_IMPORTED.keys() - unused
    assert not gone, f"explained, but imported or not declared: {sorted(gone)}"


def test_the_bill_of_materials_names_every_package_and_its_version() -> None:
    made = [
        subprocess.run(
            [sys.executable, ROOT / ".ci" / "sbom"], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert made[0] == made[1]
    document = json.loads(made[0])
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    listed = {one["name"].lower(): one["version"] for one in document["components"]}
    for name in ("torch", "zarr", "numpy"):
        assert listed[name] == version(name)


def test_the_floors_that_are_there_for_a_weakness_stand_in_pyproject() -> None:
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    floors = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|", page, re.MULTILINE)
    assert len(floors) > 5
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for name, floor in floors:
        assert f'"{name}>={floor}"' in text, f"pyproject.toml does not ask for {name}>={floor}"
