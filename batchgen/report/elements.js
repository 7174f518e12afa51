// HTML elements made from values; texts are set as text nodes, never as markup.

/** Create an element with properties (including `class`, `data` and `aria`) and children. */
function element(name, { class: className, data, aria, ...properties } = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  if (className) created.className = className;
  Object.assign(created.dataset, data);
  for (const [key, value] of Object.entries(aria ?? {})) created.setAttribute(`aria-${key}`, value);
  created.append(...children);
  return created;
}

function byId(id) {
  return document.getElementById(id);
}

/** The thumbnail of a task: its first image, video or text, or its status in words. */
function thumbnail(task, { badge = "" } = {}) {
  const frame = element("span", { class: "thumbnail" }, preview(task));
  const count = badge || (task.files.length > 1 ? `×${task.files.length}` : "");
  if (count) frame.append(element("span", { class: "badge" }, count));
  return frame;
}

function preview(task) {
  const file = task.files.find((candidate) => candidate.preview !== null) ?? task.files[0];
  if (!file) return element("span", { class: `word ${task.status}` }, emptyWord(task));
  if (file.preview !== null) {
    return element("img", { src: file.preview, alt: "", loading: "lazy", decoding: "async" });
  }
  if (file.type.startsWith("video/")) {
    return element("video", { src: file.url, preload: "metadata", muted: true });
  }
  if (file.text) return element("span", { class: "excerpt" }, file.text.slice(0, 400));
  return element("span", { class: "word" }, `${file.type}, ${bytes(file.bytes)}`);
}

function emptyWord(task) {
  return task.cause ? `${task.status}: ${task.cause}` : task.status;
}

/** Format a size in bytes. */
function bytes(count) {
  return count < 1000 ? `${count} B` : `${Math.ceil(count / 1000).toLocaleString()} kB`;
}

/** The options of a menu, from [value, label] pairs. */
function options(pairs) {
  return pairs.map(([value, label]) => new Option(label, value));
}
