// The gallery's name, and the form that changes it.

import { ask, el, put, toast } from "./element.js";

export function rename(shown) {
  const field = el("input", { "aria-label": "Name of the gallery", required: true, maxlength: 60, autocomplete: "off" });
  const form = el("form", { id: "settings", hidden: true }, field, el("button", { class: "button", type: "submit" }, "Save"));
  let version;
  const open = el("button", {
    class: "plain", id: "rename", type: "button",
    onclick: async () => {
      try {
        const settings = await ask("/api/settings");
        field.value = settings.title;
        version = settings.version;
        form.hidden = false;
        open.hidden = true;
        field.select();
      } catch (error) {
        toast(error.message);
      }
    },
  }, "Rename the gallery");
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    try {
      const settings = await put("/api/settings", { title: field.value, version });
      shown(settings.title);
      form.hidden = true;
      open.hidden = false;
    } catch (error) {
      toast(error.status === 409 ? "Someone else has renamed the gallery meanwhile: open the form again." : error.message);
    }
  });
  return el("div", { class: "settings" }, open, form);
}
