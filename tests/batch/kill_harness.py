"""Kill processes of a batch at random, and compare what comes out with an undisturbed run.

    python tests/batch/kill_harness.py OUT [--kills 100] [--seed 0] [--slides 16] [--rename 0.0]

Eight processes work on one folder, with the real analysis of real slides: two clients with two
processes each, a dask scheduler, a dask worker, its process, and a client of that. Every few
seconds one of them, drawn at random, is stopped, what it was at is written down, and it is killed
with SIGKILL. Whoever is gone is started again. When all slides are done a new folder is begun,
until there were enough kills. Then every folder is run once more by hand, with ``--retry``, and
compared with the undisturbed run.

Some clocks are an hour off. With ``--rename`` that share of all renames and links fails, half of
them after they were done. Writes kills.csv, and raises where anything differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from napari_hagmil.batch.folder import open_run
from napari_hagmil.ledger import check_manifest
from napari_hagmil.phantom import PhantomConfig, write_phantom

FAULTS = Path(__file__).with_name("faults")
RETRY = [word for s in ("crashed", "failed", "timeout", "oom") for word in ("--retry", s)]


@dataclass
class Harness:
    """One disturbed run of several folders.

    Attributes
    ----------
    out : Path
    slides : Path
        A folder of slides.
    seed : int
    rename : float
        Share of renames that fail.
    dask : bool
        Whether a scheduler, its worker and its client are among the processes.
    pause : (float, float)
        Seconds between two kills, at least and at most.
    """

    out: Path
    slides: Path
    seed: int = 0
    rename: float = 0.0
    dask: bool = True
    pause: tuple[float, float] = (0.1, 15.0)
    kills: list[dict[str, object]] = field(default_factory=list)
    actors: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    checked: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def run(self, kills: int) -> None:
        """Disturb, run again, compare."""
        self.out.mkdir(parents=True, exist_ok=True)
        undisturbed = self.out / "undisturbed"
        self.by_hand(undisturbed)
        folders: list[Path] = []
        try:
            while len(self.kills) < kills:
                folders.append(self.out / f"run-{len(folders)}")
                self.disturb(folders[-1], kills)
                self.end()
        finally:
            self.end()
            self.write_log()
        for folder in folders:
            self.by_hand(folder)
            self.compare(undisturbed, folder)

    def disturb(self, folder: Path, kills: int) -> None:
        """Kill, until all slides of a folder are done."""
        started, total = time.monotonic(), len(list(self.slides.iterdir()))
        while len(self.kills) < kills:
            self.start_missing(folder)
            time.sleep(self.rng.uniform(*self.pause))
            self.look(folder)
            if len(self.visible(folder)) == total:
                return
            assert time.monotonic() - started < 7200, f"{folder.name} does not come to an end"
            self.kill_one(folder)

    def start_missing(self, folder: Path) -> None:
        """Start whoever is gone."""
        roles = ["client-1", "client-2"]
        roles += ["scheduler", "dask worker", "dask client"] if self.dask else []
        for role in roles:
            actor = self.actors.get(role)
            if actor is None or actor.poll() is not None:
                self.actors[role] = self.start(role, folder)

    def start(self, role: str, folder: Path) -> subprocess.Popen[bytes]:
        """Start one process; its clock may be off."""
        address = f"tcp://127.0.0.1:{self.port}"
        # A slide whose process was killed twice is left alone: here until all were killed so.
        batch = ["-m", "napari_hagmil", *self.batch(folder), "--retry", "crashed"]
        words = {
            "scheduler": ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                          "--port", str(self.port), "--no-dashboard"],
            "dask worker": ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                            "--no-nanny", "--no-dashboard",
                            "--local-directory", str(self.out / "dask")],
            "dask client": [*batch, "--scheduler", address],
        }.get(role, [*batch, "--pool", "--workers", "2"])  # fmt: skip
        skew = self.rng.choice([0, 0, -3600, 3600])
        with (self.out / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], stdout=log, stderr=log, env=self.env(skew, self.rename),
                start_new_session=True,
            )  # fmt: skip

    def batch(self, folder: Path) -> list[str]:
        return ["batch", str(self.slides), "--out", str(folder), "--budget", "2", "--device", "cpu"]

    def env(self, skew: int = 0, rename: float = 0.0) -> dict[str, str]:
        path = os.pathsep.join([str(FAULTS), os.environ.get("PYTHONPATH", "")])
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return os.environ | own | {"HAGMIL_FAULTS": f"skew={skew},rename={rename}"}

    def kill_one(self, folder: Path) -> None:
        """Stop a process, note what it was at, kill it."""
        # Starting takes longer than a small slide: most kills are for those at work.
        at_work: dict[str, list[psutil.Process]] = {}
        if self.rng.random() < 0.7:
            self.await_work(folder)
            time.sleep(self.rng.uniform(0, 1.5))
            at_work = self.at_work(folder)
        with suppress(psutil.Error):
            role = self.rng.choice(sorted(at_work or self.actors))
            actor = psutil.Process(self.actors[role].pid)
            victim = self.rng.choice(at_work.get(role) or [actor, *self.below(actor)])
            victim.suspend()
            is_worker = victim.pid != actor.pid
            phase = self.phase(folder, victim.pid) if is_worker else self.progress(folder)
            victim.kill()
            self.kills.append(
                {
                    "kill": len(self.kills) + 1,
                    "folder": folder.name,
                    "process": f"slide process of {role}" if is_worker else role,
                    "phase": phase,
                }
            )
        self.write_log()

    def await_work(self, folder: Path) -> None:
        """Wait until some process has a slide, or for as long as it takes to start one."""
        until = time.monotonic() + 60
        while not self.at_work(folder) and time.monotonic() < until:
            time.sleep(0.1)

    def at_work(self, folder: Path) -> dict[str, list[psutil.Process]]:
        """The processes that have a slide now, by who started them."""
        found: dict[str, list[psutil.Process]] = {}
        for role, actor in self.actors.items():
            with suppress(psutil.Error):
                below = self.below(psutil.Process(actor.pid))
                found[role] = [p for p in below if self.claimed(folder, p.pid)]
        return {role: some for role, some in found.items() if some}

    def below(self, actor: psutil.Process) -> list[psutil.Process]:
        """The processes for slides that one has started."""
        return [p for p in actor.children() if "spawn_main" in " ".join(p.cmdline())]

    def phase(self, folder: Path, pid: int) -> str:
        """What a stopped process was at, by its claim and its draft."""
        name = self.claimed(folder, pid)
        if not name:
            return "no claim: starting, or between two slides"
        drafts = [draft for draft in folder.glob("slides/.*") if f".{pid}." in draft.name]
        if not drafts:
            done = (folder / "slides" / name).exists()
            return f"{name}: " + ("in place, not yet noted" if done else "claimed, reading")
        files = [path for path in drafts[0].rglob("*") if path.is_file()]
        if drafts[0].joinpath("manifest.json").exists():
            return f"{name}: manifest written, not yet in place"
        return f"{name}: a draft of {len(files)} files"

    def claimed(self, folder: Path, pid: int) -> str:
        """The slide whose claim a process holds; empty where it holds none."""
        for claim in folder.glob("claims/*.json"):
            with suppress(OSError, ValueError):
                if json.loads(claim.read_text())["pid"] == pid:
                    return claim.name.removesuffix(".json")
        return ""

    def progress(self, folder: Path) -> str:
        return f"{len(self.visible(folder))} slides in place"

    def visible(self, folder: Path) -> list[Path]:
        return sorted(folder.glob("slides/[!.]*"))

    def look(self, folder: Path) -> None:
        """Whatever stands in its place must be whole, at any moment."""
        for place in self.visible(folder):
            if place not in self.checked:
                assert not check_manifest(place), f"half written and visible: {place}"
                self.checked.add(place)

    def end(self) -> None:
        """Kill everybody, with their children."""
        for actor in self.actors.values():
            with suppress(psutil.Error):
                for process in [*psutil.Process(actor.pid).children(recursive=True)]:
                    process.kill()
            actor.kill()
            actor.wait()
        self.actors.clear()

    def by_hand(self, folder: Path) -> None:
        """Run a folder to its end, as a person would the next morning."""
        words = [sys.executable, "-m", "napari_hagmil", *self.batch(folder), *RETRY]
        words += ["--pool", "--workers", "2"]
        ended = subprocess.run(words, env=self.env(), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def compare(self, first: Path, second: Path) -> None:
        """Two runs must have the same bytes, but for seconds, start, host, pid and tries."""
        one, two = open_run(first), open_run(second)
        assert list(one.records) == list(two.records)
        for name in one.records:
            places = one.place(name), two.place(name)
            for place in places:
                assert not check_manifest(place), place
            manifests = [place.joinpath("manifest.json").read_bytes() for place in places]
            assert manifests[0] == manifests[1], f"{name} differs in {second.name}"
            files = [sorted(p.relative_to(place) for p in place.rglob("*")) for place in places]
            assert files[0] == files[1], f"{name} has other files in {second.name}"
        left = list(second.glob("slides/.*"))
        assert not left, f"drafts are left: {left}"
        assert not list(second.glob("claims/*.json")), "claims are left"

    def write_log(self) -> None:
        with (self.out / "kills.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["kill", "folder", "process", "phase"])
            writer.writeheader()
            writer.writerows(self.kills)


def make_slides(folder: Path, n: int, real: Path | None = None) -> Path:
    """Phantoms of two sizes, and real slides where there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(n):
        path = folder / f"p{seed}.tiff"
        if not path.exists():
            write_phantom(path, PhantomConfig(seed=seed, size=1024 if seed % 2 else 2048))
            path.with_suffix(".geojson").unlink()
    for name in ("CMU-1-Small-Region.svs", "luna-1065626.svs"):
        if real is not None and not (folder / name).exists():
            (folder / name).symlink_to(real / name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slides", type=int, default=14, help="phantoms (default 14)")
    parser.add_argument("--rename", type=float, default=0.0, help="share of renames that fail")
    options = parser.parse_args()
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: sys.exit(1))
    data = os.environ.get("HAGMIL_DATA")
    slides = make_slides(
        options.out / "slides", options.slides, Path(data) / "slides" if data else None
    )
    harness = Harness(options.out.absolute(), slides, options.seed, options.rename)
    harness.run(options.kills)
    print(f"{len(harness.kills)} kills; all results are those of the undisturbed run")


if __name__ == "__main__":
    main()
