"""Chromium on this machine, and when a page of the book stands."""

import shutil
from pathlib import Path

from playwright.sync_api import Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MATHS_IS_DONE = "() => !window.MathJax || MathJax.startup.promise.then(() => true)"


def executable(playwright: Playwright) -> str | None:
    """Path of a Chromium, or None."""
    own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, NAMES)), own if Path(own).exists() else None)
