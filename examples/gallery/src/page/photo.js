// One photo in the grid: waiting, ready or failed.

import { el } from "./element.js";

export function photoCard(photo, open) {
  const attributes = { class: "photo", "data-id": photo.id, "data-state": photo.state };
  switch (photo.state) {
    case "ready":
      return el("li", attributes,
        el("button", { class: "frame", onclick: open, "aria-label": `Open ${photo.name}` },
          el("img", {
            src: photo.thumbs.small, srcset: `${photo.thumbs.small} 320w, ${photo.thumbs.medium} 800w`, sizes: "260px",
            alt: photo.name, loading: "lazy", decoding: "async",
          })),
        el("div", { class: "caption" },
          el("strong", { title: photo.name }, photo.name),
          el("span", { class: "muted" }, taken(photo.exif.taken) ?? `${photo.width} × ${photo.height}`),
          el("span", { class: "muted", title: photo.exif.camera ?? "" }, photo.exif.camera ?? "Unknown camera"),
          swatches(photo.palette)));
    case "failed":
      return el("li", attributes,
        el("div", { class: "frame broken", "aria-hidden": "true" }, "!"),
        el("div", { class: "caption" }, el("strong", { title: photo.name }, photo.name), el("span", { class: "error" }, photo.error)));
    default:
      return el("li", attributes,
        el("div", { class: "frame pending" }),
        el("div", { class: "caption" }, el("strong", { title: photo.name }, photo.name), el("span", { class: "muted" }, "Waiting for a worker")));
  }
}

export function swatches(palette) {
  const row = el("span", { class: "swatches", role: "img", "aria-label": `Colours: ${palette.join(", ")}` });
  for (const colour of palette) {
    const swatch = el("i", { title: colour });
    swatch.style.background = colour;
    row.append(swatch);
  }
  return row;
}

// The camera's clock has no zone, so neither has what is shown.
export function taken(text) {
  if (!text) return undefined;
  const date = new Date(`${text}Z`);
  return Number.isNaN(date.getTime())
    ? undefined
    : date.toLocaleString(undefined, { timeZone: "UTC", dateStyle: "medium", timeStyle: "short" });
}
