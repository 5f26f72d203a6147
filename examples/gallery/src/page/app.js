// Which view the address means, and moving between views without losing what is being uploaded.

import { showAlbum } from "./album.js";
import { showAlbums } from "./albums.js";
import { ask, el } from "./element.js";

const main = document.getElementById("main");
const brand = document.getElementById("name");
const indicator = document.getElementById("live");
let leave;

async function show() {
  leave?.();
  leave = undefined;
  setLive("off");
  const path = location.pathname;
  const album = path.match(/^\/albums\/([^/]+)$/)?.[1];
  try {
    const config = await ask("/api/config");
    setName(config.title);
    const left = () => path !== location.pathname;
    leave = album ? await showAlbum(main, album, config, { setLive, left }) : await showAlbums(main, { go, left, setName });
  } catch (error) {
    if (path !== location.pathname) return;
    document.title = "Gallery";
    main.replaceChildren(
      el("section", { class: "empty" },
        el("h1", {}, error.status === 404 || error.status === 400 ? "No such album" : "Something is wrong"),
        el("p", {}, error.message),
        el("a", { class: "button", href: "/" }, "All albums")));
  }
}

function go(path) {
  history.pushState(null, "", path);
  return show();
}

function setName(title) {
  brand.textContent = title;
}

function setLive(state) {
  indicator.dataset.state = state;
  indicator.textContent = { live: "Live", polling: "Checking every 2 s", off: "" }[state];
}

document.addEventListener("click", (click) => {
  const link = click.target.closest("a[href='/'], a[href^='/albums/']");
  if (!link || click.ctrlKey || click.metaKey || click.shiftKey) return;
  click.preventDefault();
  go(link.getAttribute("href"));
});
// A photo that is dropped beside the drop zone must not replace the page.
for (const type of ["dragover", "drop"]) window.addEventListener(type, (drag) => drag.preventDefault());
window.addEventListener("popstate", show);
show();
