"""sbatch, as far as the script of the documentation goes: it runs a job at once, and waits for it.

Array tasks run at the same time, from a copy of the script as SLURM makes it. Calls are appended to
STUB_LOG, with the exit status of each task.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

log = Path(os.environ["STUB_LOG"])
options = {}
words = sys.argv[1:]
while words[0].startswith("--"):
    name, _, value = words.pop(0).partition("=")
    options[name] = value
number = str(100 + (len(log.read_text().splitlines()) if log.exists() else 0))
first, _, last = options.get("--array", "").partition("-")
tasks = [str(task) for task in range(int(first), int(last) + 1)] if first else [""]
with TemporaryDirectory() as spool:
    script = shutil.copy(words[0], Path(spool) / "slurm_script")
    own = [{"SLURM_JOB_ID": number, **({"SLURM_ARRAY_TASK_ID": t} if t else {})} for t in tasks]
    running = [
        subprocess.Popen(["bash", script, *words[1:]], env=os.environ | one, stdout=sys.stderr)
        for one in own
    ]
    ended = [task.wait() for task in running]
with log.open("a") as file:
    file.write(json.dumps({"options": options, "ended": ended}) + "\n")
print(number if "--parsable" in options else f"Submitted batch job {number}")
