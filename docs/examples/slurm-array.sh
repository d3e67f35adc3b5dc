#!/bin/bash
# Reads slides by a SLURM array:  [TASKS=20] bash slurm-array.sh SLIDES RUN [options of batch]
# SLIDES and RUN must be absolute, and lie where every node sees them.
#SBATCH --job-name=hagmil
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
set -euo pipefail
slides=$1 run=$2
shift 2

if [ -z "${SLURM_JOB_ID:-}" ]; then
    # Where it is submitted: once for the array, and once more for when the array is through.
    napari-hagmil batch "$slides" --out "$run" --prepare "$@"
    array=$(sbatch --parsable --array="1-${TASKS:-20}" "$0" "$slides" "$run" "$@")
    sbatch --dependency="afterany:${array%%;*}" "$0" "$slides" "$run" "$@"
elif [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    # Every task takes slides that nobody has. 3: not all were done, which the last one judges.
    napari-hagmil batch "$slides" --out "$run" "$@" || [ $? -eq 3 ]
else
    # Does what tasks that were killed have left, and writes summary and report.
    napari-hagmil batch "$slides" --out "$run" "$@"
fi
