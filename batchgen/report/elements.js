// Elements made from values; texts are only ever set as text, so nothing in them is markup.

/** An element with properties (`class`, `data` and `aria` among them) and children. */
function element(name, { class: className, data, aria, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (className) made.className = className;
  Object.assign(made.dataset, data);
  for (const [key, value] of Object.entries(aria ?? {})) made.setAttribute(`aria-${key}`, value);
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

/** What a task looks like small: its first picture, or its status in words. */
function picture(task, { badge = "" } = {}) {
  const file = task.files.find((one) => one.preview !== null);
  const inner = file
    ? element("img", { src: file.preview, alt: "", loading: "lazy", decoding: "async" })
    : element("span", { class: `word ${task.status}` }, emptyWord(task));
  const frame = element("span", { class: "picture" }, inner);
  const count = badge || (task.files.length > 1 ? `×${task.files.length}` : "");
  if (count) frame.append(element("span", { class: "badge" }, count));
  return frame;
}

function emptyWord(task) {
  if (task.files.length) return task.files[0].type;
  return task.cause ? `${task.status}: ${task.cause}` : task.status;
}

/** A menu of [value, label] pairs. */
function options(pairs) {
  return pairs.map(([value, label]) => new Option(label, value));
}
