/* What the theme leaves unsaid to a screen reader, and search from a page that was opened as a file. */
document.addEventListener("DOMContentLoaded", () => {
  const label = (selector, attributes) => {
    for (const element of document.querySelectorAll(selector)) {
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    }
  };
  label(".sidebar-primary-item:has(> .navbar-brand)", { role: "navigation", "aria-label": "Home" });
  for (const summary of document.querySelectorAll(".bd-sidenav summary")) {
    summary.setAttribute("aria-label", `Pages of: ${summary.closest("li").querySelector("a").textContent.trim()}`);
  }
  label(".citation-list > .citation", { role: "listitem" });
});

// A page opened as a file cannot fetch the pages that it found, so there are no excerpts; the hits are all there.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
