"""See whether the tests notice small faults: a seeded sample of mutants of the method's modules.

    pip install cosmic-ray coverage
    python tests/mutation/sample_mutants.py --out mutants.jsonl [--sample 400] [--seed 0] [--again]

cosmic-ray makes the mutants (an operator, a number, a comparison changed) of the modules that
pyproject.toml names (`[tool.mutation]`). Its tests are run once to see which of them run which
lines; then each mutant is put in a copy of the package, and those that run its statement are run in
a fork of this process, which has loaded what is slow to import. Where none of them fails, all tests
of their files are run, since a fixture is run by the first test that asks for it. A mutant is
killed by a test that fails, by an import that does, or by a test without an end. What only changes
annotations is no mutant. Started again, it goes on where it stopped; `--again` measures the tests
anew, and runs what survived once more.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tomllib
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from forked import Ended, copied, load_heavy, put, run_tests, trace_tests
from mutants import ROOT, Mutant, change_of, code_of, draw, mutated
from reach import Reach

#: Mutants that take so many times as long as the tests do are killed, and at least this many s of
#: the processor.
SLOWER, LEAST_S = 8, 60

Records = dict[Mutant, Ended]


def examine(mutant: Mutant, reach: Reach, copy: Path) -> Ended:
    """Run the tests of a mutant, fast files first."""
    put(copy, mutant.module, mutated(mutant))
    try:
        tests = reach.tests_of(mutant.module, code_of(mutant.module), mutant.line)
        files = in_order(tests, reach)
        found = run_tests(copy, files, {*tests}, limit_of(tests, reach))
        if found.outcome == "survived":
            every = [one for one in reach.seconds if one.partition("::")[0] in files]
            found = run_tests(copy, files, None, limit_of(every, reach))
        return found
    finally:
        put(copy, mutant.module, code_of(mutant.module))


def in_order(tests: list[str], reach: Reach) -> list[str]:
    """The files of tests, that first whose tests take the least time."""
    seconds: dict[str, float] = defaultdict(float)
    for test in tests:
        seconds[test.partition("::")[0]] += reach.seconds[test]
    return [ALWAYS, *(one for one in sorted(seconds, key=seconds.__getitem__) if one != ALWAYS)]


#: Reads the modules as text, so that no line is run.
ALWAYS = "tests/test_values.py"


def limit_of(tests: list[str], reach: Reach) -> int:
    """Seconds of the processor that tests may take."""
    return max(LEAST_S, round(SLOWER * sum(reach.seconds[one] for one in tests)))


def examine_all(due: list[Mutant], reach: Reach, out: Path, copy: Path) -> None:
    """Put each mutant on record, a line each."""
    for n, mutant in enumerate(due, start=1):
        found = examine(mutant, reach, copy)
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"mutant": asdict(mutant), "ended": asdict(found)}) + "\n")
        said = f"{found.outcome} in {found.seconds} s: {mutant.module}:{mutant.line} {found.test}"
        print(f"[{n}/{len(due)}] {said}", flush=True)


def records(out: Path) -> Records:
    """What is on record; of a mutant that ran twice, the later."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    kept = [json.loads(line) for line in lines]
    return {Mutant(**one["mutant"]): Ended(**one["ended"]) for one in kept}


def tell(found: Records) -> None:
    """Say how many were killed, module by module, and show what survived."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for mutant, ended in found.items():
        killed = ended.outcome != "survived"
        for name in (mutant.module, "all"):
            counts[name][0] += killed
            counts[name][1] += 1
        if not killed:
            print(f"\nsurvived: {mutant.module}:{mutant.line}\n{change_of(mutant)}")
    for name, (killed, n) in sorted(counts.items()):
        print(f"{name}: {killed} of {n} killed")


def write_table(path: Path, found: Records) -> None:
    """Write a row per mutant."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("module", "line", "change", "outcome", "test"))
        for mutant, ended in sorted(found.items(), key=lambda one: (one[0].module, one[0].line)):
            change = " / ".join(change_of(mutant).splitlines())
            table.writerow((mutant.module, mutant.line, change, ended.outcome, ended.test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the record, a line per mutant")
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="what survived is run once more")
    parser.add_argument("--table", type=Path, help="write a table of what is on record, and end")
    args = parser.parse_args()
    if args.table:
        write_table(args.table, records(args.out))
        return
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules, tests = (configured["tool"]["mutation"][key] for key in ("modules", "tests"))
    known = records(args.out)
    again = {one for one in known if known[one].outcome == "survived"} if args.again else set()
    due = [one for one in draw(modules, args.sample, args.seed) if one not in known or one in again]
    load_heavy()
    copy, measured = copied(), args.out.with_suffix(".reach.json").absolute()
    try:
        if args.again or not measured.exists():
            trace_tests(copy, tests, modules, measured)
        examine_all(due, Reach.read(measured), args.out.absolute(), copy)
    finally:
        shutil.rmtree(copy)
    tell(records(args.out))


if __name__ == "__main__":
    main()
