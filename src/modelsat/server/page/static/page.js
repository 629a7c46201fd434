// Copies the text of the element that a button names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Selected: press Ctrl+C";
  }
});

// Shows the value of a slider beside it.
document.addEventListener("input", (event) => {
  const shown = event.target.dataset?.shows && document.getElementById(event.target.dataset.shows);
  if (!shown) return;
  const share = event.target.value / 100;
  const kind = event.target.dataset.scale;
  shown.textContent =
    kind === "knob" ? (share * 10).toFixed(1)
    : kind === "cheapest" || kind === "share" ? share.toFixed(2)
    : kind === "near_best" ? (share / 2).toFixed(3)
    : "$" + Number((10 ** (5 * share - 4)).toPrecision(2));
});
