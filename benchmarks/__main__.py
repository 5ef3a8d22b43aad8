"""``python -m benchmarks``: measure every case, then write results.json, the page of the book and its plot.

``python -m benchmarks ndcg roc-auc`` measures only these and leaves the other stored results as they are; ``--report``
measures nothing and writes the page from the stored results.
"""

import argparse
import sys
import time

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.machine import describe
from benchmarks.measure import ROUNDS, measure, own_peak_megabytes

BY_SLUG = {case.slug: case for case in CASES}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", help="only these: " + ", ".join(BY_SLUG))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="alternating runs of each contender")
    parser.add_argument("--report", action="store_true", help="write the page from the stored results")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "CONTENDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(BY_SLUG))
    if unknown:
        parser.error(f"unknown case {', '.join(unknown)}; choose from {', '.join(BY_SLUG)}")
    if options.memory:
        print(own_peak_megabytes(BY_SLUG[options.memory[0]], options.memory[1]))
    elif options.report:
        report.write(report.load())
    else:
        run(options.cases or list(BY_SLUG), options.rounds)


def run(slugs: list[str], rounds: int) -> None:
    found = {}
    for slug in slugs:
        begin = time.perf_counter()
        found[slug] = measure(BY_SLUG[slug], rounds=rounds)
        print(f"{slug}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        if (found[slug]["others"] or 0) > report.BUSY:
            print(
                f"{slug}: other programs took {found[slug]['others']:.0%} of the processors", file=sys.stderr
            )
    results = {"machine": describe(), "rounds": rounds, "cases": list(found.values())}
    print(report.table(results))
    if len(found) < len(CASES):
        results = report.merged(report.load(), results)
    report.write(results)


if __name__ == "__main__":
    main()
