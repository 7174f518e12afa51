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

/** What a task looks like small: its first picture, video or text, or its status in words. */
function picture(task, { badge = "" } = {}) {
  const frame = element("span", { class: "picture" }, small(task));
  const count = badge || (task.files.length > 1 ? `×${task.files.length}` : "");
  if (count) frame.append(element("span", { class: "badge" }, count));
  return frame;
}

function small(task) {
  const file = task.files.find((one) => one.preview !== null) ?? task.files[0];
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

/** A size as people read it. */
function bytes(count) {
  return count < 1000 ? `${count} B` : `${Math.ceil(count / 1000).toLocaleString()} kB`;
}

/** A menu of [value, label] pairs. */
function options(pairs) {
  return pairs.map(([value, label]) => new Option(label, value));
}
