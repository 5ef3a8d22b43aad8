/* Filters over what a section lists: elements with data-part, data-outcome and so on. An empty div.ks-filter says by which of them
 * (data-filters) and how the elements are called (data-of). What is chosen stands in the address, so it can be linked to. */
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("div.ks-filter");
  if (!form) return;
  const items = [...form.closest("section").querySelectorAll("[data-outcome]")];
  const shell = item => item.closest(".sd-col") ?? item;
  const chosen = new URLSearchParams(location.search);
  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const tests = form.dataset.filters.split(" ").map(key => {
    const values = [...new Set(items.map(item => item.dataset[key]))];
    const control = key === "text"
      ? make("input", { type: "search", value: chosen.get(key) ?? "" })
      : make("select", {}, make("option", { value: "", textContent: "all" }), ...values.map(value => make("option", { value, textContent: value })));
    if (key !== "text" && values.includes(chosen.get(key))) control.value = chosen.get(key);
    form.append(make("label", {}, `${key} `, control));
    control.addEventListener("input", apply);
    const words = item => item.textContent.toLowerCase();
    return { key, control, passes: item => key === "text" ? words(item).includes(control.value.trim().toLowerCase()) : !control.value || item.dataset[key] === control.value };
  });
  const count = form.appendChild(make("output", {}));

  /* Rows first, then whatever holds rows and shows none of them any more. */
  function apply() {
    const shown = new Set(items.filter(item => tests.every(test => test.passes(item))));
    const filtered = tests.some(test => test.control.value);
    for (const item of items) shell(item).hidden = !shown.has(item);
    for (const holder of document.querySelectorAll("article section, article details, article table")) {
      const own = items.filter(item => holder.contains(item));
      if (!own.length) continue;
      const some = own.some(item => shown.has(item));
      if (holder.contains(form)) continue;
      holder.hidden = !some;
      if (holder.tagName === "DETAILS") holder.open = filtered && some;
    }
    count.textContent = `${shown.size} of ${items.length} ${form.dataset.of}`;
    if (location.protocol === "file:") return;
    const query = new URLSearchParams(tests.filter(test => test.control.value).map(test => [test.key, test.control.value]));
    history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : "") + location.hash);
  }
  apply();
});
