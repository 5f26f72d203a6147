// Building elements. Text always goes in as text, so a file called <img onerror=…> is shown under that name.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

export function toast(message) {
  const note = el("div", { class: "toast" }, message);
  note.append(el("button", { class: "plain", "aria-label": "Dismiss", onclick: () => note.remove() }, "×"));
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 12_000);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// Asks the server; what goes wrong comes back as an Error with a message that can be shown.
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The gallery can't be reached.");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const error = new Error(body.error ?? `The gallery answered ${response.status}.`);
  throw Object.assign(error, { status: response.status });
}

export function put(path, value) {
  return ask(path, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
}

export function post(path, value) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
}
