/* The figure of the front page: points at the noise level of a slider. Without this script a picture of four levels stands there. */
document.addEventListener("DOMContentLoaded", () => {
  const source = document.querySelector("script.ks-flow"), picture = document.querySelector("img.ks-flow-static");
  if (!source || !picture) return;
  const { levels, hues, hue, points } = JSON.parse(source.textContent);
  const bytes = Uint8Array.from(atob(points), letter => letter.charCodeAt(0)), count = hue.length;
  const WIDTH = 720, HEIGHT = 360, RADIUS = 3;

  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * WIDTH, height: 2 * HEIGHT, className: "ks-flow-canvas" });
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  function draw(at) {
    const low = Math.floor(at), high = Math.min(low + 1, levels.length - 1), part = at - low;
    const place = i => bytes[2 * count * low + i] * (1 - part) + bytes[2 * count * high + i] * part;
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    for (let i = 0; i < count; i++) {
      pen.fillStyle = hues[+hue[i]];
      pen.beginPath();
      pen.arc(WIDTH * place(2 * i) / 255, HEIGHT * place(2 * i + 1) / 255, RADIUS, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  const label = Object.assign(document.createElement("label"), { htmlFor: "ks-flow-level", textContent: "noise level: " });
  const shown = document.createElement("output");
  const input = Object.assign(document.createElement("input"), { type: "range", id: "ks-flow-level", min: 0, max: levels.length - 1, step: "any" });
  input.value = 7;
  const move = () => {
    shown.textContent = levels[Math.round(input.value)];
    input.setAttribute("aria-valuetext", `noise level ${shown.textContent}`);
    draw(+input.value);
  };
  input.addEventListener("input", move);
  input.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    input.value = Math.round(+input.value) + step;
    move();
  });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Coloured points. At high noise they are a cloud of five bands, at low noise they write the word score, one colour for each letter.");
  const figure = document.createElement("div");
  figure.className = "ks-slider ks-flow-figure";
  const line = document.createElement("p");
  line.append(label, shown, " (drag to the right: less noise)");
  figure.append(canvas, line, input);
  (picture.closest("a") ?? picture).replaceWith(figure);
  move();
});
