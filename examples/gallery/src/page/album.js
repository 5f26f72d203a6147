// One album: adding photos, watching them become ready, looking at them.

import { ask, el, plural } from "./element.js";
import { historyOf } from "./history.js";
import { follow } from "./live.js";
import { openPhoto } from "./lightbox.js";
import { photoCard } from "./photo.js";
import { intake } from "./upload.js";

export async function showAlbum(main, id, config, { setLive, left }) {
  const album = await ask(`/api/albums/${id}`);
  if (left()) return undefined;
  document.title = `${album.title} · Gallery`;

  const photos = new Map(); // id -> photo, in the order they were added
  const cards = new Map();
  const bar = el("div", { class: "progress", role: "progressbar", "aria-label": "Photos done" }, el("i"), el("b"));
  const status = el("p", { class: "muted", id: "status", role: "status" });
  const grid = el("ul", { class: "photos", id: "photos" });
  const sheet = el("section", { class: "sheet", id: "sheet", hidden: true });
  const adding = intake(id, config, { added: () => resync() });

  main.replaceChildren(
    el("section", { class: "head" }, el("div", {}, el("a", { class: "muted", href: "/" }, "← All albums"), el("h1", {}, album.title), status), adding.form),
    bar, adding.queue, grid, sheet, historyOf(id));
  apply(album);

  // The whole album, as the server sees it now.
  function apply(view) {
    for (const photo of view.photos) put(photo);
    showSheet(view.contact_sheet);
    count();
  }

  function put(photo) {
    const known = photos.get(photo.id);
    // An answer that was asked for before an event arrived must not undo it.
    if (known && known.state !== "waiting" && photo.state === "waiting") return;
    if (known && JSON.stringify(known) === JSON.stringify(photo)) return;
    photos.set(photo.id, photo);
    const card = photoCard(photo, () => openPhoto([...photos.values()].filter((each) => each.state === "ready"), photo.id));
    if (cards.has(photo.id)) cards.get(photo.id).replaceWith(card);
    else grid.append(card);
    cards.set(photo.id, card);
  }

  function count() {
    let ready = 0, failed = 0;
    for (const { state } of photos.values()) {
      ready += state === "ready";
      failed += state === "failed";
    }
    const total = photos.size;
    const share = (part) => `${total ? (100 * part) / total : 0}%`;
    bar.hidden = total === 0 || ready + failed === total;
    bar.children[0].style.width = share(ready);
    bar.children[1].style.width = share(failed);
    bar.setAttribute("aria-valuenow", String(total ? Math.round((100 * (ready + failed)) / total) : 0));
    status.textContent = total === 0
      ? "Empty so far"
      : [ready + failed < total ? `${ready + failed} of ${plural(total, "photo")} done` : plural(total, "photo"), failed && `${failed} failed`]
          .filter(Boolean).join(" · ");
    grid.dataset.done = String(total > 0 && ready + failed === total);
    adding.form.classList.toggle("large", total === 0);
  }

  function showSheet(address) {
    if (!address || sheet.dataset.address === address) return;
    sheet.dataset.address = address;
    sheet.hidden = false;
    sheet.replaceChildren(
      el("h2", {}, "Contact sheet"),
      el("a", { href: address, download: `${album.title} contact sheet.jpg` }, el("img", { src: address, alt: "All photos of the album on one sheet" })));
  }

  // One answer at a time; what asks meanwhile is served by one more.
  let asking = false, again = false;
  async function resync() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    try {
      do {
        again = false;
        apply(await ask(`/api/albums/${id}`));
      } while (again);
    } catch (error) {
      console.warn(error); // the next poll or reconnect asks again
    } finally {
      asking = false;
    }
  }

  const stop = follow(config.signaling, id, {
    state: setLive,
    resync,
    event(topic, data) {
      if (topic === "photo_ready") {
        const { photo, name, ok, error, facts } = data;
        const thumb = (size) => `/files/${id}/${photo}/${size}.jpg`;
        // A photo that another page just added is shown in its place by a resync.
        if (!photos.has(photo)) return void resync();
        put(ok
          ? { id: photo, name, state: "ready", thumbs: { small: thumb("small"), medium: thumb("medium"), large: thumb("large") }, ...facts }
          : { id: photo, name, state: "failed", error });
        count();
      } else if (data.contact_sheet) {
        showSheet(`/files/${id}/sheet-${data.total}.jpg`);
      }
    },
  });
  const unwarn = adding.warn();
  return () => {
    stop();
    unwarn();
  };
}
