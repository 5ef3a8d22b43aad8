"""Labels the See Also corpus: python tools/make_seealso_labels.py (five seconds, with the versions of constraints.txt).

Writes ``corelib/data/seealso_labels.json.gz``: which functions are documents, what their "See Also" sections say about
each query, its part, and a hash of each text; none of the texts.
"""

import gzip
import hashlib
import importlib
import inspect
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator

from corelib.data.seealso import LABELS, Docstring, parse, without_roles
from corelib.data.text_retrieval import text_hashes

SUBMODULES = {
    "numpy": "linalg fft random ma polynomial.polynomial polynomial.chebyshev char lib.stride_tricks",
    "scipy": "stats stats.mstats stats.qmc signal signal.windows linalg optimize special sparse sparse.linalg "
    "sparse.csgraph spatial spatial.distance spatial.transform interpolate integrate ndimage fft cluster.hierarchy "
    "cluster.vq io",
    "networkx": "algorithms.approximation algorithms.bipartite algorithms.community",
    "sklearn": "base calibration cluster compose covariance cross_decomposition datasets decomposition "
    "discriminant_analysis dummy ensemble feature_extraction feature_extraction.text feature_selection "
    "gaussian_process gaussian_process.kernels impute inspection isotonic kernel_approximation kernel_ridge "
    "linear_model manifold metrics metrics.pairwise mixture model_selection multiclass multioutput naive_bayes "
    "neighbors neural_network pipeline preprocessing random_projection semi_supervised svm tree utils",
}
WITH_TOP_LEVEL = ("numpy", "networkx")

FEWEST_CHARACTERS, FEWEST_TEXT_CHARACTERS = 150, 100
FEWEST_WORDS, MOST_WORDS = 3, 40  # of a summary
MOST_CHARACTERS_WITH_BRACKETS = 300  # of a summary; a longer one is a table or a reference


def main() -> None:
    LABELS.write_bytes(gzip.compress(json.dumps(labels()).encode(), 9, mtime=0))


def labels() -> dict:
    """Ids and text hashes of the documents; id, grades by document number, part and text hash of the queries."""
    docstrings, aliases = collect()
    links = see_also(docstrings, aliases)
    back = defaultdict(set)
    for name, others in links.items():
        for other in others:
            back[other].add(name)
    names = sorted(name for name in docstrings if links[name] or back[name])
    position = {name: i for i, name in enumerate(names)}
    by_summary: dict[str, list[str]] = {}
    for name in names:
        by_summary.setdefault(docstrings[name].summary.lower(), []).append(name)
    queries = []
    for own in by_summary.values():
        grades = {position[name]: 3 for name in own}
        for name in own:
            for other in links[name] | back[name]:
                mutual = other in links[name] and other in back[name]
                grades[position[other]] = max(grades.get(position[other], 0), 2 if mutual else 1)
        queries.append({"id": own[0], "grades": dict(sorted(grades.items())), "part": part(own[0])})
    return {
        "documents": names,
        "document_hashes": text_hashes(docstrings[name].text for name in names).tolist(),
        "queries": queries,
        "query_hashes": text_hashes(docstrings[query["id"]].summary for query in queries).tolist(),
    }


def collect() -> tuple[dict[str, Docstring], dict[str, list[str]]]:
    """The docstrings fit for the corpus, by the first name of each distinct text, and the other names of that text."""
    docstrings: dict[str, Docstring] = {}
    aliases: dict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for name, docstring in _public():
        if not _fit(docstring):
            continue
        text = docstring.text.lower()
        if text in first:
            aliases[first[text]].append(name)
        else:
            first[text] = name
            docstrings[name] = docstring
    return docstrings, aliases


def _public() -> Iterator[tuple[str, Docstring]]:
    """Name and docstring of every public function and class, with the module in which users find it."""
    for library, submodules in SUBMODULES.items():
        names = [library] * (library in WITH_TOP_LEVEL) + [f"{library}.{name}" for name in submodules.split()]
        for module in map(importlib.import_module, names):
            public = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
            for attribute in sorted(public):
                try:
                    thing = getattr(module, attribute, None)
                except ImportError:  # experimental, to be enabled first
                    continue
                if thing is None or inspect.ismodule(thing):
                    continue
                docstring = inspect.getdoc(thing) or ""
                home = (getattr(thing, "__module__", None) or library).split(".")[0]
                if len(docstring) >= FEWEST_CHARACTERS and home.startswith(library):
                    yield f"{module.__name__}.{attribute}", parse(docstring)


def _fit(docstring: Docstring) -> bool:
    summary = docstring.summary
    return (
        FEWEST_WORDS <= len(summary.split()) <= MOST_WORDS
        and not ("[" in summary and len(summary) > MOST_CHARACTERS_WITH_BRACKETS)
        and len(docstring.text) >= FEWEST_TEXT_CHARACTERS
    )


def see_also(docstrings: dict[str, Docstring], aliases: dict[str, list[str]]) -> dict[str, set[str]]:
    """For each function, those that its "See Also" names and that can be told apart."""
    full = {name: first for first in docstrings for name in (first, *aliases.get(first, ()))}
    short: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, first in full.items():
        short[first.split(".")[0], name.split(".")[-1]].add(first)
    links = {}
    for name, docstring in docstrings.items():
        library, module = name.split(".")[0], name.rsplit(".", 1)[0]
        links[name] = set()
        for mention in _mentions(docstring.see_also):
            found = next(
                (full[n] for n in (f"{module}.{mention}", mention, f"{library}.{mention}") if n in full), None
            )
            candidates = short[library, mention.split(".")[-1]]
            if found is None and len(candidates) == 1:
                (found,) = candidates
            if found is not None and found != name:
                links[name].add(found)
    return links


def _mentions(section: str) -> Iterator[str]:
    """The names before the colons of a "See Also" section; indented lines are descriptions."""
    for line in section.splitlines():
        if line.strip() and not re.match(r"^\s{2,}", line):
            head = re.split(r"\s+:\s|:$|\s:\s*$", without_roles(line))[0]
            yield from (mention.strip(".") for mention in re.findall(r"[A-Za-z_][\w.]*", head))


def part(name: str) -> str:
    """60 % train, 10 % dev, 30 % test, by a hash of the name."""
    bucket = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
    return "train" if bucket < 6 else "dev" if bucket < 7 else "test"


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names
        main()
