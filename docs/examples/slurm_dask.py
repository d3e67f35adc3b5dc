"""Read slides by workers that dask-jobqueue starts as SLURM jobs.

    [TASKS=20] python slurm_dask.py SLIDES RUN [options of batch]

SLIDES and RUN must be absolute, and lie where every node sees them. Needs dask-jobqueue, and the
package with [distributed] on every node.
"""

import os
import subprocess
import sys

from dask_jobqueue import SLURMCluster

slides, run, *options = sys.argv[1:]
# One thread a worker: each has a process of its own for the slides, which takes the job's cores.
with SLURMCluster(
    cores=1, processes=1, memory="8GB", job_cpu=4, walltime="12:00:00", job_name="hagmil"
) as cluster:
    cluster.scale(jobs=int(os.environ.get("TASKS", "20")))
    batch = ["napari-hagmil", "batch", slides, "--out", run, *options]
    ended = subprocess.run([*batch, "--scheduler", cluster.scheduler_address], check=False)
sys.exit(ended.returncode)
