"""Claims, by real processes that are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from json_schemas import require_schemas
from napari_hagmil.errors import OutputError
from napari_hagmil.ledger import Claims

HOLD = """
    import sys, time
    from pathlib import Path
    from napari_hagmil.ledger import Claims
    claim = Claims(Path(sys.argv[1])).take("a")
    print("taken" if claim else "refused", flush=True)
    time.sleep(60)
"""

#: Takes a claim, counts in an unprotected file, and is sometimes killed before it gives it back.
COUNT = """
    import os, random, signal, sys, time
    from pathlib import Path
    from napari_hagmil.ledger import Claims
    folder, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    while rounds:
        claim = Claims(folder / "claims").take("a")
        if claim is None:
            time.sleep(0.001 * chance.random())
            continue
        try:
            (folder / "inside").touch(exist_ok=False)
        except FileExistsError:
            (folder / "two at once").touch()
        with (folder / "count").open("a") as file:
            file.write(".")
        (folder / "inside").unlink()
        rounds -= 1
        if not rounds:
            os.kill(os.getpid(), signal.SIGKILL)
        claim.release()
"""


def run(script, *words, **how):
    code = textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], **how)


def rewrite(claims, name, **changes):
    """Change what a claim's file says, its age included."""
    path = claims.path(name)
    said = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(said))


def test_a_slide_is_claimed_once_and_free_again_when_it_is_released(tmp_path):
    first, second = Claims(tmp_path / "claims"), Claims(tmp_path / "claims")
    with first.take("a") as claim:
        assert claim.is_held()
        assert require_schemas(tmp_path) == {"claim"}
        assert second.take("a") is None
        assert second.take("b") is not None
        holder = second.holder("a")
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
    assert second.holder("a") is None
    assert second.take("a").is_held()
    assert {path.suffix for path in (tmp_path / "claims").iterdir()} == {".json"}


def test_one_of_many_that_ask_at_once_has_it(tmp_path):
    claims = Claims(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: claims.take("a"), range(64)))
    assert sum(claim is not None for claim in taken) == 1


def test_the_claim_of_a_killed_process_is_taken_over_at_once(tmp_path):
    holder = run(HOLD, tmp_path, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "taken\n"
    assert Claims(tmp_path).take("a") is None
    holder.kill()
    holder.communicate()
    assert Claims(tmp_path).take("a").is_held()


def test_a_process_that_was_suspended_learns_that_it_lost_its_claim(tmp_path):
    claim = Claims(tmp_path, beat=1000).take("a")
    time.sleep(0.3)
    taken = Claims(tmp_path, stale=0.2).take("a")
    assert taken.is_held()
    assert not claim.is_held()
    claim.release()
    assert taken.is_held()


def test_a_heartbeat_keeps_a_claim(tmp_path):
    claim = Claims(tmp_path, beat=0.05).take("a")
    before = Claims(tmp_path).holder("a").heartbeat
    time.sleep(0.8)
    assert Claims(tmp_path, stale=0.6).take("a") is None
    assert Claims(tmp_path).holder("a").heartbeat > before
    claim.release()


def test_another_machine_is_believed_until_its_heartbeat_is_old(tmp_path):
    claims = Claims(tmp_path)
    claims.take("a")
    # Its process number means nothing here.
    rewrite(claims, "a", machine="another", pid=2**22 + 1)
    assert claims.take("a") is None
    old = time.time() - 61
    os.utime(claims.path("a"), (old, old))
    assert claims.take("a").is_held()


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_machine_whose_clock_is_off_keeps_its_claim(tmp_path, monkeypatch, hours):
    """The clock of the files counts, not that of who looks or who wrote."""
    claims = Claims(tmp_path)
    claims.take("a")
    rewrite(claims, "a", machine="another", heartbeat=time.time() + 3600 * hours)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600 * hours)
    assert claims.take("a") is None
    assert claims.holder("a") is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"host": {}, "beat": {}}'])
def test_a_file_that_is_no_claim_holds_nothing_for_long(tmp_path, text):
    claims = Claims(tmp_path)
    claims.path("a").write_text(text)
    assert claims.take("a") is None
    os.utime(claims.path("a"), (0, 0))
    assert claims.take("a").is_held()


def test_where_there_are_no_hard_links_a_claim_is_made_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert Claims(tmp_path).take("a").is_held()
    assert Claims(tmp_path).take("a") is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        Claims(tmp_path / "file").take("a")


@pytest.mark.slow
def test_no_two_of_six_processes_that_are_killed_while_they_hold_it_have_it_at_once(tmp_path):
    """Each is killed as it holds the claim, which the others must take over."""
    processes = [run(COUNT, tmp_path, 15, seed) for seed in range(6)]
    for process in processes:
        assert process.wait(120) == -signal.SIGKILL
    assert len((tmp_path / "count").read_text()) == 6 * 15
    assert not (tmp_path / "two at once").exists()


def test_a_link_whose_answer_was_lost_is_a_claim_of_ones_own(tmp_path, monkeypatch):
    """A network drive asks again, and finds the name taken: by itself."""
    link = os.link

    def lost(source, target):
        link(source, target)
        raise FileExistsError(17, "File exists", str(target))

    claims = Claims(tmp_path)
    monkeypatch.setattr(os, "link", lost)
    with claims.take("a") as claim:
        assert claim.is_held()
        assert claims.take("a") is None
    assert claims.holder("a") is None
