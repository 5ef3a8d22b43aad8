"""What each page is about, for the order in which a reader's search shows the pages."""

import json
from pathlib import Path

from tools.entries import Entry

RANKING = Path(__file__).resolve().parent.parent / "book" / "_ext" / "scorer.js"
OF_PAGES = {
    "book/how-to-run": "install installation setup conda pip laptop colab gpu windows mac notebook download offline",
    "book/teach": "teach course assignment grader nbgrader syllabus students exercises",
    "book/how-to-cite": "how to cite citation bibtex reference",
    "book/how-to-read": "how to read chapter signs outcome claim exercises",
    "book/ledger": "reproduction reproduced not reproduced replication fails failed does not hold claims outcomes results",
    "book/benchmarks": "benchmark speed fast time memory comparison",
    "book/core-in-twenty-minutes": "corelib tutorial guide engine algorithm fast memory InfoNCE pairs quadratic",
    "book/contributing": "contribute new chapter",
    "book/api/losses/infonce": "InfoNCE NT-Xent CLIP contrastive memory",
    "book/api/losses/lists": "listwise LambdaRank lambdaloss ApproxNDCG smooth",
    "book/api/metrics": "ndcg map mrr recall auc ties metric trec",
    "book/api/search": "hard negatives nearest neighbours mining",
    "book/api/ratings": "Elo Glicko Bradley Terry item response",
}
"""Words for pages that are no chapters, beyond those in their titles."""


def scorer(entries: list[Entry]) -> str:
    """The script that Sphinx takes for its search: the topics of all pages, then the order."""
    topics = OF_PAGES | {
        entry.document: " ".join(
            (entry.title, *(entry.report["card"][key] for key in ("paper", "claimed", "found")))
        )
        for entry in entries
    }
    return f"const TOPICS = {json.dumps(topics, ensure_ascii=False, indent=1)};\n\n{RANKING.read_text(encoding='utf-8')}"
