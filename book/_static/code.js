/* One choice for all code of a chapter: as it is folded on the page, all of it, or none. Answers to exercises stay folded. */
document.addEventListener("DOMContentLoaded", () => {
  const folded = [...document.querySelectorAll("article .cell.tag_hide-input > details")];
  const first = document.querySelector("article .cell");
  if (!first || !document.querySelector("article .cell_input")) return;
  const select = document.createElement("select");
  for (const [value, words] of [["", "the short cells"], ["all", "all of it"], ["none", "none"]]) select.append(new Option(words, value));
  const label = document.createElement("label");
  label.className = "ks-code";
  label.append("Show code: ", select);
  select.addEventListener("change", () => {
    for (const details of folded) details.open = select.value === "all";
    document.documentElement.classList.toggle("ks-no-code", select.value === "none");
  });
  first.before(label);
});
