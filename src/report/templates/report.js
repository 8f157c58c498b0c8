// Switches a cell on and off in all panels: every renderer carries its cell's position as a tag.
const panels = () => Bokeh.documents.flatMap((document) => document.roots());
const show = (box) => {
  for (const panel of panels()) {
    for (const renderer of panel.renderers) {
      if (renderer.tags[0] === Number(box.dataset.cell)) renderer.visible = box.checked;
    }
  }
};
const boxes = [...document.querySelectorAll("input[data-cell]")];
for (const box of boxes) box.addEventListener("change", () => show(box));
document.getElementById("all-cells").addEventListener("click", () => {
  const checked = !boxes.every((box) => box.checked);
  for (const box of boxes) {
    box.checked = checked;
    show(box);
  }
});
