// What became of the album's jobs: asked for when it is opened, and page by page.

import { ask, el, toast } from "./element.js";

export function historyOf(album) {
  const rows = el("tbody");
  const more = el("button", { class: "button quiet", type: "button", hidden: true, onclick: () => load(more.dataset.after) }, "Show more");
  const note = el("p", { class: "muted" });
  const table = el("table", { hidden: true },
    el("thead", {}, el("tr", {}, ...["Finished", "Job", "State", "Attempt", "Took"].map((name) => el("th", { scope: "col" }, name)))),
    rows);
  const section = el("details", { class: "history", id: "history", ontoggle: () => section.open && load() },
    el("summary", {}, "History"), table, note, more);

  async function load(after) {
    try {
      const page = await ask(`/api/albums/${album}/history${after ? `?after=${after}` : ""}`);
      if (!after) rows.replaceChildren();
      rows.append(...page.jobs.map(row));
      // A page of a long history may have found none yet.
      if (!page.jobs.length && page.next) return await load(page.next);
      more.hidden = !page.next;
      more.dataset.after = page.next ?? "";
      table.hidden = !rows.children.length;
      note.textContent = rows.children.length ? "" : "No job of this album has finished yet.";
    } catch (error) {
      toast(error.message);
    }
  }
  return section;
}

function row(job) {
  const runs = job.attempts.map((run) => `run ${run.run}: ${run.state}${run.error ? `, ${run.error}` : ""}`);
  return el("tr", { "data-state": job.state },
    el("td", { class: "muted" }, new Date(job.finished).toLocaleString()),
    el("td", {}, el("div", {}, job.photo ?? label(job.kind)), ...(runs.length ? runs : [job.error].filter(Boolean)).map((line) => el("div", { class: "error" }, line))),
    el("td", {}, job.state),
    el("td", {}, String(job.attempt)),
    el("td", {}, job.took_ms === null ? "–" : `${job.took_ms.toLocaleString("en")} ms`));
}

function label(kind) {
  return { process_photo: "Photo", contact_sheet: "Contact sheet" }[kind] ?? kind;
}
