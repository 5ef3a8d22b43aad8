/* The map: the arcs of the chapter that is pointed at or has the focus. */
document.addEventListener("DOMContentLoaded", () => {
  const map = document.querySelector(".ks-map");
  if (!map) return;
  const show = slug => {
    for (const arc of map.querySelectorAll("path")) arc.classList.toggle("ks-own", arc.dataset.ends.split(" ").includes(slug));
    map.classList.toggle("ks-chosen", Boolean(slug));
  };
  for (const link of map.querySelectorAll("a")) {
    for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => show(link.dataset.slug));
    for (const event of ["mouseleave", "blur"]) link.addEventListener(event, () => show(""));
  }
});
