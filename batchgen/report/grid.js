// The grid: the matching tasks as a table of two facets, to compare their values.

const grid = {
  table: byId("cells"),
  tasks: [],
  axes: [byId("across"), byId("down")],

  /** Offer each facet as an axis; variables of the job are the defaults. */
  prepare() {
    const pairs = facets.map((facet, index) => [index, facet.name]);
    const first = Math.max(0, facets.findIndex((facet) => facet.source === "vars"));
    this.axes.forEach((axis, number) => {
      axis.append(...options(pairs));
      axis.selectedIndex = (first + number) % facets.length;
      axis.addEventListener("change", () => this.draw());
    });
  },

  show(matches) {
    this.tasks = matches;
    this.draw();
  },

  draw() {
    if (!facets.length || !this.table.closest("section").clientWidth) return;
    const [across, down] = this.axes.map((axis) => facets[axis.selectedIndex]);
    const cells = grouped(this.tasks, (task) => cellKey(task, across, down));
    this.table.replaceChildren(
      element("thead", {}, headings(across, down)),
      element("tbody", {}, ...down.values.map((value) => line(value, across, cells))),
    );
  },
};

function cellKey(task, across, down) {
  return JSON.stringify([valueOf(task, across), valueOf(task, down)]);
}

function grouped(values, keyOf) {
  const groups = new Map();
  for (const value of values) {
    const name = keyOf(value);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(value);
  }
  return groups;
}

function headings(across, down) {
  const corner = `${down.name} ↓ ${across.name} →`;
  const names = [corner, ...across.values.map(readable)];
  return element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
}

function line(value, across, cells) {
  const row = element("tr", {}, element("th", { scope: "row" }, readable(value)));
  for (const other of across.values) {
    row.append(element("td", {}, cell(cells.get(JSON.stringify([other, value])) ?? [])));
  }
  return row;
}

function cell(matches) {
  if (!matches.length) return "";
  const first = matches.find((task) => task.files.length) ?? matches[0];
  const badge = matches.length > 1 ? `${matches.length} tasks` : "";
  const button = element(
    "button",
    { type: "button", title: first.prompt },
    thumbnail(first, { badge }),
  );
  button.addEventListener("click", () => viewer.open(matches, matches.indexOf(first)));
  return button;
}
