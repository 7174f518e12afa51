// The viewer: one task with its files and all its details.

const viewer = {
  dialog: byId("viewer"),
  list: [],
  position: 0,

  /** Show the task at a position of a list; the arrow keys move through the list. */
  open(list, position) {
    this.list = list;
    this.position = position;
    this.fill();
    if (!this.dialog.open) this.dialog.showModal();
  },

  step(by) {
    const position = this.position + by;
    if (position < 0 || position >= this.list.length) return;
    this.position = position;
    this.fill();
  },

  fill() {
    const task = this.list[this.position];
    const [stage, details] = [".stage", ".details"].map((name) => this.dialog.querySelector(name));
    stage.replaceChildren(...task.files.map(large));
    if (!task.files.length) stage.append(element("p", { class: task.status }, emptyWord(task)));
    stage.scrollTop = 0;
    details.replaceChildren(...description(task));
    this.dialog.querySelector(".place").textContent =
      `${(this.position + 1).toLocaleString()} of ${this.list.length.toLocaleString()}`;
    this.dialog.querySelector("[data-do=previous]").disabled = this.position === 0;
    this.dialog.querySelector("[data-do=next]").disabled = this.position === this.list.length - 1;
  },
};

/** An image at full size; any other file with its name, its size, and a player or its text. */
function large(file) {
  if (file.type.startsWith("image/")) return element("img", { src: file.url, alt: file.path });
  const caption = element("figcaption", {}, link(file), ` ${measured(file)}`);
  return element("figure", {}, caption, ...content(file));
}

function content(file) {
  if (file.type.startsWith("video/")) return [element("video", { src: file.url, controls: true })];
  if (file.type.startsWith("audio/")) return [element("audio", { src: file.url, controls: true })];
  return file.text === null ? [] : [element("pre", { class: "text" }, file.text)];
}

function link(file) {
  return element("a", { href: file.url, target: "_blank", rel: "noopener" }, file.path);
}

function* description(task) {
  yield element("h2", {}, task.id);
  yield element("p", { class: "prompt" }, task.prompt);
  const list = element("dl");
  for (const [term, value] of facts(task)) {
    if (value === null || value === undefined || value === "") continue;
    const values = Array.isArray(value) ? value : [value];
    list.append(element("dt", {}, term), element("dd", {}, ...values));
  }
  yield list;
  const yaml = yamlRow(task);
  const copy = element("button", { type: "button", data: { do: "copy" } }, "Copy as YAML row");
  copy.addEventListener("click", () => copyText(yaml, copy));
  yield copy;
  yield element("pre", { class: "yaml" }, yaml);
}

function* facts(task) {
  yield ["status", element("span", { class: task.status }, task.status)];
  yield ["cause", task.cause];
  yield ["message", task.message];
  yield ["revised prompt", task.revised];
  yield ["model", task.model];
  for (const [name, text] of Object.entries(task.params)) yield [name, readable(text)];
  for (const [name, text] of Object.entries(task.vars)) yield [`{${name}}`, readable(text)];
  yield ["seed used", task.seed];
  yield ["cost", task.cost === null ? null : `$${task.cost}`];
  yield ["duration", task.duration === null ? null : `${task.duration} s`];
  yield ["attempts", String(task.attempts)];
  yield ["finished", task.finished];
  yield ["row", task.source];
  yield ["request", task.request];
  for (const file of task.files) yield ["file", [link(file), ` ${measured(file)}`]];
}

function measured(file) {
  const size = file.width ? `${file.width} × ${file.height}, ` : "";
  return size + bytes(file.bytes);
}

/** Copy a text; if the browser refuses, select it below the button. */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.nextElementSibling);
    button.textContent = "Selected: press Ctrl-C";
  }
}

viewer.dialog.addEventListener("click", ({ target }) => {
  const action = target.closest("[data-do]")?.dataset.do;
  if (action === "close") viewer.dialog.close();
  if (action === "previous") viewer.step(-1);
  if (action === "next") viewer.step(1);
});
viewer.dialog.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.closest("video, audio")) return; // there the arrow keys seek
  event.preventDefault();
  viewer.step(by);
});
