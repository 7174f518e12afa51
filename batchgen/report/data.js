// The report's data as data.py writes it, and the questions that the views ask of it.

const report = JSON.parse(document.getElementById("data").textContent);

/** A task as an object: the columns of its row, table words put in, files as objects. */
function taskOf(row, index) {
  const task = { index };
  report.fields.forEach((name, column) => {
    const table = report.tables[name];
    task[name] = table ? table[row[column]] : row[column];
  });
  task.files = task.files.map(([path, preview, type, width, height, bytes, text = null]) => ({
    url: report.root + encoded(path),
    preview: preview === null ? null : previewUrl(path, preview),
    path,
    type,
    width,
    height,
    bytes,
    text,
  }));
  task.searched = `${task.id}\n${task.prompt}`.toLowerCase();
  return task;
}

/** A path as a relative URL: a file's name can neither name a scheme nor begin a query. */
function encoded(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

function previewUrl(path, preview) {
  return preview ? report.thumbs + encoded(preview) : report.root + encoded(path);
}

const tasks = report.rows.map(taskOf);
report.rows = null; // the objects stand for them from here on

/** What a task has under a facet, as JSON text; undefined where it has nothing. */
function valueOf(task, facet) {
  return facet.source ? task[facet.source][facet.name] : JSON.stringify(task[facet.name]);
}

/** Facets of the job: the model where there are several, then variables and parameters. */
const facets = [...report.facets];
if (report.tables.model.length > 1) {
  const values = report.tables.model.map((model) => JSON.stringify(model));
  facets.unshift({ source: "", name: "model", values });
}

/** JSON text as a person reads it: texts without quotes, all else as it stands. */
function shown(text) {
  return text.startsWith('"') ? JSON.parse(text) : text;
}

/** The tasks that fit: every word in id or prompt, and each choice that was made. */
function matching({ text, status, cause, chosen }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return tasks.filter(
    (task) =>
      (!status || task.status === status) &&
      (!cause || task.cause === cause) &&
      [...chosen].every(([facet, value]) => valueOf(task, facet) === value) &&
      words.every((word) => task.searched.includes(word)),
  );
}

/** A text as YAML's double-quoted style has it; braces are doubled where templates are read. */
function quoted(json, { template }) {
  const safe = json.replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return template && safe.startsWith('"') ? safe.replace(/[{}]/g, "$&$&") : safe;
}

/** The task as a row of a job file; ready to be pasted under `prompts:`. */
function yamlRow(task) {
  const row = [
    ["id", JSON.stringify(task.id)],
    ["prompt", JSON.stringify(task.prompt)],
  ].map(([name, json]) => [name, quoted(json, { template: true })]);
  row.push(["model", quoted(JSON.stringify(task.model), { template: false })]);
  for (const [name, json] of Object.entries(task.params)) {
    row.push([key(name), quoted(json, { template: true })]);
  }
  const variables = Object.entries(task.vars).map(
    ([name, json]) => `${key(name)}: ${quoted(json, { template: false })}`,
  );
  if (variables.length) row.push(["vars", `{${variables.join(", ")}}`]);
  return row.map(([name, value], number) => `${number ? "  " : "- "}${name}: ${value}\n`).join("");
}

function key(name) {
  return quoted(JSON.stringify(name), { template: false });
}
