// The report's data, which data.py writes, and the functions with which the views query it.

const report = JSON.parse(document.getElementById("data").textContent);

/** Make an object from the columns of a row, with words for table indexes and objects for files. */
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

/** Encode a path as a relative URL, in which a file name cannot start a scheme or a query. */
function encoded(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

function previewUrl(path, preview) {
  return preview ? report.thumbs + encoded(preview) : report.root + encoded(path);
}

const tasks = report.rows.map(taskOf);
report.rows = null; // no longer needed: free the memory

/** The value that a task has for a facet, as JSON text; undefined if it has none. */
function valueOf(task, facet) {
  return facet.source ? task[facet.source][facet.name] : JSON.stringify(task[facet.name]);
}

/** Facets of the job: the model if there are several, then variables and parameters. */
const facets = [...report.facets];
if (report.tables.model.length > 1) {
  const values = report.tables.model.map((model) => JSON.stringify(model));
  facets.unshift({ source: "", name: "model", values });
}

/** JSON text for people: a string without its quotes, anything else unchanged. */
function readable(text) {
  return text.startsWith('"') ? JSON.parse(text) : text;
}

/** The tasks that match all filters; each word of the text must be in the id or the prompt. */
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

/** Quote a JSON text for YAML; double its braces if the value is a template. */
function quoted(json, { template }) {
  const safe = json.replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return template && safe.startsWith('"') ? safe.replace(/[{}]/g, "$&$&") : safe;
}

/** The task as a row of a job file, to be pasted below `prompts:`. */
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
