// Makes the curves interactive: hide cells by check boxes, point to see values, drag to zoom, double-click to reset.
const drawing = document.querySelector("#curves svg");
const fullView = drawing.getAttribute("viewBox");
const tooltip = document.getElementById("numbers");
const lines = JSON.parse(document.getElementById("curve-lines").textContent);
const boxes = [...document.querySelectorAll("input[data-cell]")];
let dragStart = null; // the point where a drag began

const set = (element, attributes) => {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const add = (name) => {
  const shape = drawing.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  return set(shape, { fill: "none", stroke: "#222222", visibility: "hidden" });
};
const [ring, frame] = [add("circle"), add("rect")];

const showOrHide = (box) => {
  const parts = drawing.querySelectorAll(`[id^="cell-${box.dataset.cell}-"]`);
  for (const part of parts) part.style.display = box.checked ? "" : "none";
};
for (const box of boxes) box.addEventListener("change", () => showOrHide(box));
document.getElementById("all-cells").addEventListener("click", () => {
  const checked = !boxes.every((box) => box.checked);
  for (const box of boxes) {
    box.checked = checked;
    showOrHide(box);
  }
});

const toSvg = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
const nearestPoint = (pointer) => {
  let closest = { distance: drawing.viewBox.baseVal.width / 45 };
  for (const line of lines.filter(({ cell }) => boxes[cell].checked)) {
    line.points.forEach(([x, y, ...values], k) => {
      const distance = Math.hypot(x - pointer.x, y - pointer.y);
      if (distance < closest.distance) closest = { distance, line, x, y, values, epoch: k + 1 };
    });
  }
  return closest;
};
const showNumbers = (event) => {
  const { line, x, y, values, epoch } = nearestPoint(toSvg(event));
  tooltip.hidden = !line;
  set(ring, { visibility: line ? "visible" : "hidden" });
  if (!line) return;
  const [mean, low, high] = values.map((value) => value.toFixed(line.digits));
  const label = boxes[line.cell].closest("label").textContent.trim();
  const spread = line.seeds > 1 ? `\nmean of ${line.seeds} seeds, ${low} to ${high}` : "";
  tooltip.textContent = `${label}\nepoch ${epoch}: ${mean}${spread}`;
  tooltip.style.left = `${Math.min(event.clientX + 14, innerWidth - tooltip.offsetWidth - 8)}px`;
  tooltip.style.top = `${event.clientY + 14}px`;
  set(ring, { cx: x, cy: y, r: drawing.viewBox.baseVal.width / 140 });
};

const dragArea = (end) => ({
  x: Math.min(dragStart.x, end.x),
  y: Math.min(dragStart.y, end.y),
  width: Math.abs(end.x - dragStart.x),
  height: Math.abs(end.y - dragStart.y),
});
const zoom = (viewBox) => {
  set(drawing, { viewBox });
  drawing.classList.toggle("enlarged", viewBox !== fullView);
};
drawing.addEventListener("pointerdown", (event) => {
  dragStart = event.pointerType === "mouse" ? toSvg(event) : null; // a finger must still scroll the page
});
drawing.addEventListener("pointermove", (event) => {
  showNumbers(event);
  if (dragStart) set(frame, { ...dragArea(toSvg(event)), visibility: "visible" });
});
addEventListener("pointerup", (event) => {
  const { x, y, width, height } = dragStart ? dragArea(toSvg(event)) : {};
  if (Math.min(width, height) > 5) zoom(`${x} ${y} ${width} ${height}`);
  set(frame, { visibility: "hidden" });
  dragStart = null;
});
drawing.addEventListener("dblclick", () => zoom(fullView));
drawing.addEventListener("pointerleave", () => {
  tooltip.hidden = true;
  set(ring, { visibility: "hidden" });
});
