// Reads slides with Nextflow, a task each:
//   nextflow run batch.nf --slides /shared/slides --run /shared/run
// Both must be absolute, and lie where every task sees them. Results are written to the run's
// folder, and not to Nextflow's: what is done stays done, with -resume or without.

params.slides = null
params.run = null

process prepare {
    cache false

    output:
    path 'names.txt'

    script:
    """
    napari-hagmil batch '${params.slides}' --out '${params.run}' --prepare --json > run.json
    python3 -c 'import json; print(*json.load(open("run.json"))["slides"], sep="\\n")' > names.txt
    """
}

process one {
    tag "${name}"
    cache false
    cpus 4
    memory '8 GB'
    time '2h'
    // Killed for its memory or time: once more. A slide's own fault is in the report.
    errorStrategy { task.attempt < 2 ? 'retry' : 'ignore' }

    input:
    val name

    output:
    val name

    script:
    """
    napari-hagmil run-one '${params.run}' '${name}' || [ \$? -ge 3 ]
    """
}

process conclude {
    cache false

    input:
    val names

    script:
    """
    napari-hagmil batch '${params.slides}' --out '${params.run}' || [ \$? -eq 3 ]
    """
}

workflow {
    names = prepare().splitText().map { it.trim() }.filter { it }
    one(names)
    conclude(one.out.collect().ifEmpty([]))
}
