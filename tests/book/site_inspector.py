"""Opens pages of the built book in headless Chromium and says what is wrong with them."""

import functools
import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
from fontTools.ttLib import TTFont
from playwright.sync_api import Browser, BrowserContext, Page, Response

from tools.browser import MATHS_IS_DONE

SITE = Path(__file__).resolve().parent.parent.parent / "_build" / "html"
ICONS = {
    weight: sorted(TTFont(SITE.parents[1] / f"book/_static/fonts/icons-{kind}.woff2").getBestCmap())
    for weight, kind in (("900", "solid"), ("400", "brands"))
}
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PACKED = (".png", ".webp", ".woff", ".woff2")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

MATHS = r"""() => {
  const article = document.querySelector("article") ?? document.body;
  const found = [...article.querySelectorAll("mjx-merror")].map(e => `formula with an error: ${e.textContent}`);
  for (const e of article.querySelectorAll(".math")) {
    if (!e.querySelector("mjx-container")) found.push(`formula that was not set: ${e.textContent.slice(0, 60)}`);
  }
  const copy = article.cloneNode(true);
  copy.querySelectorAll("pre, code, mjx-container, .math").forEach(e => e.remove());
  const raw = copy.textContent.match(/\$[^$\n]+\$|\\[(\[][^\n]+\\[)\]]/);
  if (raw) found.push(`formula left as text: ${raw[0].slice(0, 60)}`);
  return found;
}"""
ALTERNATIVES = r"""() => {
  const sentence = /^\p{Lu}.*\s.*\s.*[.!?]$/su;
  return [...document.querySelectorAll("article img")]
    .filter(e => !sentence.test((e.getAttribute("alt") ?? "").trim()))
    .map(e => `figure whose alternative text is no sentence: ${JSON.stringify(e.getAttribute("alt"))}`);
}"""
ACCESSIBILITY = r"""() => axe.run({exclude: ["mjx-container"]}, {resultTypes: ["violations"], preload: false}).then(({violations}) =>
  violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(", ")}`))"""
DRAWN = r"""(icons) => {
  const found = new Set();
  for (const e of document.querySelectorAll(":not(mjx-container *)")) {
    for (const part of ["::before", "::after"]) {
      const style = getComputedStyle(e, part), text = style.content.replaceAll('"', "");
      if (!/Icons|Awesome/.test(style.fontFamily) || ["none", "normal", ""].includes(text)) continue;
      const code = text.codePointAt(0);
      if (!style.fontFamily.includes("Keeping Score Icons") || !icons[style.fontWeight]?.includes(code)) {
        found.add(`icon that is not in the book's fonts (tools/make_icons.py): ${code.toString(16)} of ${e.className}`);
      }
    }
  }
  return [...found];
}"""
FOCUS = r"""() => {
  const found = new Set();
  for (const e of document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")) {
    e.focus();
    if (e.tabIndex < 0 || document.activeElement !== e || !e.checkVisibility({visibilityProperty: true})) continue;
    if ([undefined, "::after"].every(part => getComputedStyle(e, part).outlineStyle === "none")) {
      found.add(`focus that one does not see: ${e.tagName.toLowerCase()} ${e.className}`);
    }
  }
  document.activeElement.blur();
  return [...found];
}"""
WIDTH = """(width) => {
  const needed = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
  return needed > width ? [`${needed} pixels wide on a screen of ${width}`] : [];
}"""
SCREENS = (1024, 1440)


def pages(site: Path) -> list[str]:
    """Every page of a site, relative to its folder; ``index.html`` only leads to the first, 404.html is for one host."""
    found = (path.relative_to(site) for path in site.rglob("*.html"))
    others = ("index.html", "404.html")
    return sorted(
        path.as_posix() for path in found if "_static" not in path.parts and path.as_posix() not in others
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the folder is served."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Visitor:
    """A reader whose browser notes every request, error and message; other hosts cannot be reached.

    ``home`` is the address under which everything must lie that a page asks for.
    """

    def __init__(self, browser: Browser, home: str, **context) -> None:
        self.home = home
        self._noted: list[str] = []
        self._answers: list[Response] = []
        self._sizes: dict[str, int] = {}
        self._context: BrowserContext = browser.new_context(**context)
        self._context.route(lambda url: not self._local(url), lambda route: route.abort())
        self.page: Page = self._context.new_page()
        self.page.on("request", self._note_request)
        self.page.on("response", lambda answer: self._answers.append(answer))
        self.page.on(
            "response", lambda r: r.status >= 400 and self._noted.append(f"missing ({r.status}): {r.url}")
        )
        self.page.on(
            "console", lambda m: m.type in ("error", "warning") and self._noted.append(f"console: {m.text}")
        )
        self.page.on("pageerror", lambda error: self._noted.append(f"script error: {error}"))

    def close(self) -> None:
        self._context.close()

    def open(self, path: str) -> list[str]:
        """Go to a page and wait until it stands; what was noted on the way."""
        self._noted.clear()
        self._answers.clear()
        self.page.goto(self.home + path, wait_until="load")
        self.page.wait_for_function(MATHS_IS_DONE)
        return self.noted()

    def noted(self) -> list[str]:
        """What was noted since the last page was opened."""
        return list(dict.fromkeys(self._noted))

    def check(self, path: str) -> list[str]:
        """Everything that is wrong with a page, one sentence each."""
        noted = self.open(path)
        self.page.evaluate(AXE)
        self.page.keyboard.press("Tab")  # only those who use the keyboard see the focus
        scripts = (MATHS, ALTERNATIVES, FOCUS, ACCESSIBILITY)
        problems = [problem for script in scripts for problem in self.page.evaluate(script)]
        return noted + problems + self.page.evaluate(DRAWN, ICONS) + self._too_wide(*SCREENS)

    def weights(self, path: str) -> dict[str, int]:
        """What comes over the line for a page before anyone scrolls: bytes by address, text compressed as hosts do."""
        self.open(path)
        return {
            answer.url.removeprefix(self.home).partition("?")[0]: self._size(answer)
            for answer in self._answers
        }

    def check_width(self, path: str) -> list[str]:
        """Whether a page must be scrolled sideways."""
        self.open(path)
        return self._too_wide(self.page.viewport_size["width"])

    def _too_wide(self, *widths: int) -> list[str]:
        before, found = self.page.viewport_size, []
        for width in widths:
            self.page.set_viewport_size(before | {"width": width})
            found += self.page.evaluate(WIDTH, width)
        self.page.set_viewport_size(before)
        return found

    def _size(self, answer: Response) -> int:
        if answer.url not in self._sizes:
            body = answer.body()
            packed = answer.url.partition("?")[0].endswith(PACKED)
            self._sizes[answer.url] = len(body if packed else gzip.compress(body))
        return self._sizes[answer.url]

    def _local(self, url: str) -> bool:
        return url.startswith((self.home, "data:", "blob:"))

    def _note_request(self, request) -> None:
        if not self._local(request.url):
            self._noted.append(f"request to another host: {request.url}")
