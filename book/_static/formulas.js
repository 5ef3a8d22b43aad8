/* A formula that is wider than its line shrinks, to seven tenths at most; one that is wider still scrolls in its box. */
const fitFormulas = () => {
  for (const formula of document.querySelectorAll("div.math > mjx-container[display=true]")) {
    formula.style.fontSize = formula.dataset.size ??= getComputedStyle(formula).fontSize;
    const share = formula.clientWidth / formula.scrollWidth;
    if (share < 1) formula.style.fontSize = `${parseFloat(formula.dataset.size) * Math.max(share * 0.99, 0.7)}px`;
  }
};
addEventListener("load", () => window.MathJax?.startup?.promise.then(fitFormulas));
addEventListener("resize", fitFormulas);
