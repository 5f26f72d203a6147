// Ways for photos to get in: dropped, chosen, or imported from a folder of the server's machine.

import { el, plural, post, toast } from "./element.js";

const PHOTO = /\.(jpe?g|png|webp)$/i;
const AT_ONCE = 3;

export function intake(album, config, { added }) {
  const waiting = [];
  let sending = 0;
  const input = el("input", { type: "file", id: "files", multiple: true, accept: "image/jpeg,image/png,image/webp,.jpg,.jpeg,.png,.webp" });
  const queue = el("ul", { class: "uploads", id: "uploads" });
  const form = el("div", { class: "intake" },
    el("label", { class: "drop", for: "files" },
      input, el("strong", {}, "Drop photos here"), el("span", { class: "muted" }, "or choose them · JPEG, PNG, WebP")),
    config.import && importForm(album, added));

  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  const over = (drag) => form.classList.toggle("over", drag.type === "dragover");
  for (const type of ["dragover", "dragleave", "drop"]) form.addEventListener(type, over);
  form.addEventListener("drop", (drag) => take(drag.dataTransfer.files));

  function take(files) {
    const wrong = [];
    for (const file of files) {
      if (!PHOTO.test(file.name)) wrong.push(`${file.name} is not a JPEG, PNG or WebP`);
      else if (file.size > config.max_bytes) wrong.push(`${file.name} is larger than ${Math.round(config.max_bytes / 1e6)} MB`);
      else {
        const line = el("li", {}, el("span", {}, file.name), el("progress", { max: 1, value: 0 }));
        queue.append(line);
        waiting.push({ file, line });
      }
    }
    if (wrong.length > 3) wrong.splice(3, Infinity, `and ${wrong.length - 3} more`);
    if (wrong.length) toast(wrong.join("; "));
    next();
  }

  function next() {
    while (sending < AT_ONCE && waiting.length) {
      sending++;
      const { file, line } = waiting.shift();
      send(file, line).catch((error) => failed(file, line, error)).finally(() => {
        sending--;
        next();
      });
    }
  }

  async function send(file, line) {
    await upload(`/api/albums/${album}/photos`, file, (share) => (line.lastChild.value = share));
    line.remove();
    added();
  }

  function failed(file, line, error) {
    const again = el("button", { class: "plain", onclick: () => (line.remove(), take([file])) }, "Try again");
    line.replaceChildren(el("span", {}, file.name), el("span", { class: "error" }, error.message), again);
  }

  return {
    form,
    queue,
    // Leaving the page while files are on their way asks first. Returns how to undo that.
    warn() {
      const ask = (leave) => (sending || waiting.length) && leave.preventDefault();
      window.addEventListener("beforeunload", ask);
      return () => window.removeEventListener("beforeunload", ask);
    },
  };
}

// fetch can't tell how far an upload is.
function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("photo", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
    request.onerror = () => reject(new Error("The gallery can't be reached."));
    request.onload = () => request.status < 300
      ? resolve(request.response)
      : reject(new Error(request.response?.error ?? `The gallery answered ${request.status}.`));
    request.send(body);
  });
}

function importForm(album, added) {
  const folder = el("input", { id: "folder", placeholder: "/path/to/a/folder/of/this/machine", "aria-label": "Folder to import", required: true, autocomplete: "off", spellcheck: "false" });
  const button = el("button", { class: "button quiet", type: "submit" }, "Import");
  const form = el("form", { class: "import", id: "import" }, folder, button);
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    button.disabled = true;
    try {
      const { photos } = await post(`/api/albums/${album}/import`, { folder: folder.value });
      folder.value = "";
      folder.placeholder = `${plural(photos.length, "photo")} imported`;
      added();
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
    }
  });
  return form;
}
