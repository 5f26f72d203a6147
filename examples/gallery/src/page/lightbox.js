// A photo on the whole screen, with what is known about it. Arrows go on, Escape closes.

import { el } from "./element.js";
import { swatches, taken } from "./photo.js";

export function openPhoto(photos, id) {
  let at = photos.findIndex((photo) => photo.id === id);
  const image = el("img", {});
  const facts = el("div", { class: "facts" });
  const dialog = el("dialog", { class: "lightbox", "aria-label": "Photo" },
    el("button", { class: "plain step", "aria-label": "Previous photo", onclick: () => step(-1) }, "‹"),
    el("figure", { tabindex: -1, autofocus: true }, image, facts),
    el("button", { class: "plain step", "aria-label": "Next photo", onclick: () => step(1) }, "›"),
    el("button", { class: "plain close", "aria-label": "Close", onclick: () => dialog.close() }, "×"));

  function step(by) {
    at = (at + by + photos.length) % photos.length;
    const photo = photos[at];
    image.src = photo.thumbs.large;
    image.alt = photo.name;
    const parts = [taken(photo.exif.taken), photo.exif.camera, photo.exif.exposure, `${photo.width} × ${photo.height}`];
    facts.replaceChildren(
      el("strong", {}, photo.name),
      el("span", { class: "muted" }, parts.filter(Boolean).join(" · ")),
      swatches(photo.palette),
      alike(photos, photo) ?? "");
  }

  dialog.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  step(0);
  dialog.showModal();
}

// Perceptual hashes that differ in at most four of 64 bits belong to pictures that look alike.
function alike(photos, photo) {
  const twin = photos.find((other) => other.id !== photo.id && distance(other.hash, photo.hash) <= 4);
  return twin && el("span", { class: "muted" }, `Looks like ${twin.name}`);
}

function distance(a, b) {
  let bits = BigInt(`0x${a}`) ^ BigInt(`0x${b}`);
  let count = 0;
  for (; bits; bits &= bits - 1n) count++;
  return count;
}
