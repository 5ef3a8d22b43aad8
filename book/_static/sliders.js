/* Figures that one can touch: tables of curves over a parameter, as lab.slider prints them, get a slider and a drawing. The
 * table stays, folded, and is all there is without this script. */
(() => {
  const NUMBER = /^≈\s*(-?[\d.]+(?:e[+-]?\d+)?)(?:\s*±\s*([\d.]+(?:e[+-]?\d+)?))?$/;
  const WIDTH = 320, HEIGHT = 64, EDGE = 8;

  const element = (name, attributes = {}, ...children) => {
    const svg = ["svg", "path", "circle", "line"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  /* {parameter, values, curves: [{name, cells, means, sds}]}, or null if the table is another one. */
  function read(table) {
    const heads = [...table.querySelectorAll("thead th")].map(cell => cell.textContent.trim());
    const parameter = table.caption?.textContent.trim().match(/^By (.+)$/s)?.[1];
    if (!parameter || heads[0] !== parameter) return null;
    const rows = [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent.trim()));
    const curves = heads.slice(1).map((name, k) => {
      const cells = rows.map(row => row[k + 1]), numbers = cells.map(cell => cell.match(NUMBER));
      return numbers.every(Boolean) && { name, cells, means: numbers.map(n => +n[1]), sds: numbers.map(n => +(n[2] ?? 0)) };
    });
    return curves.every(Boolean) && curves.length ? { parameter, values: rows.map(row => row[0]), curves } : null;
  }

  /* [lowest, highest] of each curve; curves that overlap, and so can be compared, have one scale. */
  function scales(curves) {
    const own = curves.map(({ means, sds }) => [Math.min(...means.map((mean, i) => mean - sds[i])), Math.max(...means.map((mean, i) => mean + sds[i]))]);
    const apart = [];
    for (const [low, high] of own.toSorted((a, b) => a[0] - b[0])) {
      const before = apart.at(-1);
      if (before && low <= before[1]) before[1] = Math.max(before[1], high);
      else apart.push([low, high]);
    }
    return own.map(([low]) => apart.findLast(scale => scale[0] <= low));
  }

  /* A line through the means with a band of one standard deviation, and a dot that can be moved. */
  function drawing({ means, sds }, [low, high]) {
    const x = i => EDGE + (WIDTH - 2 * EDGE) * i / (means.length - 1);
    const y = value => high > low ? HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (value - low) / (high - low) : HEIGHT / 2;
    const path = points => points.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
    const upper = means.map((mean, i) => [x(i), y(mean + sds[i])]), lower = means.map((mean, i) => [x(i), y(mean - sds[i])]);
    const dot = element("circle", { class: "ks-dot", r: 5 });
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
      element("path", { class: "ks-band", d: path([...upper, ...lower.reverse()]) + "Z" }),
      element("path", { class: "ks-line", d: path(means.map((mean, i) => [x(i), y(mean)])) }),
      dot);
    return { svg, place: i => { dot.setAttribute("cx", x(i)); dot.setAttribute("cy", y(means[i])); } };
  }

  function enhance(table, number) {
    const data = read(table);
    if (!data) return;
    const last = data.values.length - 1, id = `ks-slider-${number}`;
    const input = element("input", { type: "range", id, min: 0, max: last, step: 1, value: Math.floor(last / 2) });
    const shown = element("output", { for: id });
    const scale = scales(data.curves);
    const curves = data.curves.map((curve, k) => ({ ...curve, ...drawing(curve, scale[k]), read: element("span", { class: "ks-value" }) }));
    const figure = element("div", { class: "ks-slider", role: "group", "aria-label": `Figure to touch: ${data.parameter}` },
      element("p", {}, element("label", { for: id }, `${data.parameter}: `), shown), input,
      ...curves.map(curve => element("p", { class: "ks-curve" }, element("span", {}, curve.name), curve.svg, curve.read)));
    const move = () => {
      const at = +input.value;
      shown.textContent = data.values[at];
      input.setAttribute("aria-valuetext", [data.values[at], ...curves.map(c => `${c.name} ${c.cells[at]}`)].join("; "));
      for (const curve of curves) {
        curve.place(at);
        curve.read.textContent = curve.cells[at];
      }
    };
    input.addEventListener("input", move);
    move();
    const region = table.closest('[role="region"]') ?? table, folded = element("details", {}, element("summary", {}, "All numbers"));
    region.before(figure, folded);
    folded.append(region);
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("article table.dataframe").forEach(enhance));
})();
