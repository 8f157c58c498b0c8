// The curves: check boxes switch cells, the pointer shows numbers, dragging enlarges, a double click resets.
const drawing = document.querySelector("#curves svg");
const whole = drawing.getAttribute("viewBox");
const numbers = document.getElementById("numbers");
const lines = JSON.parse(document.getElementById("curve-lines").textContent);
const boxes = [...document.querySelectorAll("input[data-cell]")];
let start = null; // where a drag began

const set = (element, attributes) => {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const add = (name) => {
  const shape = drawing.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  return set(shape, { fill: "none", stroke: "#222222", visibility: "hidden" });
};
const [ring, frame] = [add("circle"), add("rect")];

const show = (box) => {
  const parts = drawing.querySelectorAll(`[id^="cell-${box.dataset.cell}-"]`);
  for (const part of parts) part.style.display = box.checked ? "" : "none";
};
for (const box of boxes) box.addEventListener("change", () => show(box));
document.getElementById("all-cells").addEventListener("click", () => {
  const checked = !boxes.every((box) => box.checked);
  for (const box of boxes) {
    box.checked = checked;
    show(box);
  }
});

const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
const nearest = (pointer) => {
  let found = { distance: drawing.viewBox.baseVal.width / 45 };
  for (const line of lines.filter(({ cell }) => boxes[cell].checked)) {
    line.points.forEach(([x, y, ...values], k) => {
      const distance = Math.hypot(x - pointer.x, y - pointer.y);
      if (distance < found.distance) found = { distance, line, x, y, values, epoch: k + 1 };
    });
  }
  return found;
};
const showNumbers = (event) => {
  const { line, x, y, values, epoch } = nearest(place(event));
  numbers.hidden = !line;
  set(ring, { visibility: line ? "visible" : "hidden" });
  if (!line) return;
  const [mean, low, high] = values.map((value) => value.toFixed(line.digits));
  const label = boxes[line.cell].closest("label").textContent.trim();
  const spread = line.seeds > 1 ? `\nmean of ${line.seeds} seeds, ${low} to ${high}` : "";
  numbers.textContent = `${label}\nepoch ${epoch}: ${mean}${spread}`;
  numbers.style.left = `${Math.min(event.clientX + 14, innerWidth - numbers.offsetWidth - 8)}px`;
  numbers.style.top = `${event.clientY + 14}px`;
  set(ring, { cx: x, cy: y, r: drawing.viewBox.baseVal.width / 140 });
};

const area = (end) => ({
  x: Math.min(start.x, end.x),
  y: Math.min(start.y, end.y),
  width: Math.abs(end.x - start.x),
  height: Math.abs(end.y - start.y),
});
const zoom = (viewBox) => {
  set(drawing, { viewBox });
  drawing.classList.toggle("enlarged", viewBox !== whole);
};
drawing.addEventListener("pointerdown", (event) => {
  start = event.pointerType === "mouse" ? place(event) : null; // a finger scrolls the page
});
drawing.addEventListener("pointermove", (event) => {
  showNumbers(event);
  if (start) set(frame, { ...area(place(event)), visibility: "visible" });
});
addEventListener("pointerup", (event) => {
  const { x, y, width, height } = start ? area(place(event)) : {};
  if (Math.min(width, height) > 5) zoom(`${x} ${y} ${width} ${height}`);
  set(frame, { visibility: "hidden" });
  start = null;
});
drawing.addEventListener("dblclick", () => zoom(whole));
drawing.addEventListener("pointerleave", () => {
  numbers.hidden = true;
  set(ring, { visibility: "hidden" });
});
