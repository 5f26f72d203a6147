// The list of albums, and the form for a new one.

import { ask, el, plural, post, toast } from "./element.js";
import { rename } from "./settings.js";

export async function showAlbums(main, { go, left, setName }) {
  const { albums } = await ask("/api/albums");
  if (left()) return;
  document.title = "Gallery";
  const title = el("input", {
    id: "title", placeholder: "Name of the album", "aria-label": "Name of the album", required: true, maxlength: 120, autocomplete: "off",
  });
  const button = el("button", { class: "button", type: "submit" }, "New album");
  const form = el("form", { id: "new-album" }, title, button);
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    button.disabled = true;
    try {
      const album = await post("/api/albums", { title: title.value });
      await go(`/albums/${album.id}`);
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
    }
  });

  main.replaceChildren(
    el("section", { class: "head" }, el("div", {}, el("h1", {}, "Albums"), el("p", { class: "muted" }, summary(albums)), rename(setName)), form),
    albums.length ? el("ul", { class: "albums" }, ...albums.map(card)) : nothing());
  if (!albums.length) title.focus();
}

function summary(albums) {
  if (!albums.length) return "Photos in, thumbnails out.";
  const photos = albums.reduce((sum, album) => sum + album.total, 0);
  return `${plural(albums.length, "album")}, ${plural(photos, "photo")}`;
}

function nothing() {
  return el("section", { class: "empty" },
    el("div", { class: "stack", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    el("h2", {}, "No albums yet"),
    el("p", {}, "Name one above, then drop your photos into it."));
}

function card(album) {
  const waiting = album.total - album.ready - album.failed;
  const count = [
    plural(album.total, "photo"),
    waiting && `${waiting} to do`,
    album.failed && `${album.failed} failed`,
  ].filter(Boolean).join(" · ");
  return el("li", {},
    el("a", { href: `/albums/${album.id}` },
      album.cover ? el("img", { src: album.cover, alt: "", loading: "lazy" }) : el("div", { class: "cover" }),
      el("strong", {}, album.title),
      el("span", { class: "muted" }, count)));
}
