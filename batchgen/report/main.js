// The views, and the filters that gallery and grid share.

const filters = { text: "", status: "", cause: "", chosen: new Map() };
const VIEWS = ["gallery", "grid", "failures", "charts"];
const MAX_MENUS = 8; // of variables and parameters

function refresh() {
  const matches = matching(filters);
  const active = filters.text || filters.status || filters.cause || filters.chosen.size;
  const all = `${tasks.length.toLocaleString()} tasks`;
  byId("matching").textContent = active ? `${matches.length.toLocaleString()} of ${all}` : all;
  byId("clear").hidden = !active;
  for (const button of byId("statuses").children) {
    button.setAttribute("aria-pressed", button.dataset.status === filters.status);
  }
  gallery.show(matches);
  grid.show(matches);
}

function showView() {
  const wanted = location.hash.slice(2);
  const view = VIEWS.includes(wanted) ? wanted : "gallery";
  for (const name of VIEWS) byId(name).hidden = name !== view;
  for (const anchor of byId("views").children) {
    if (anchor.hash === `#/${view}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  byId("filters").hidden = view === "failures" || view === "charts";
  gallery.arrange();
  grid.draw();
}

function prepareStatuses() {
  for (const [status, count] of Object.entries(report.counts)) {
    if (!count) continue;
    const label = `${count.toLocaleString()} ${status}`;
    const button = element("button", { type: "button", class: status, data: { status } }, label);
    button.addEventListener("click", () => {
      filters.status = filters.status === status ? "" : status;
      refresh();
    });
    byId("statuses").append(button);
  }
}

function prepareMenus() {
  for (const facet of facets.slice(0, MAX_MENUS)) {
    const menu = element("select", { aria: { label: facet.name } });
    const values = facet.values.map((value) => [value, readable(value)]);
    menu.append(...options([["", `${facet.name}: all`], ...values]));
    menu.addEventListener("change", () => {
      if (menu.value) filters.chosen.set(facet, menu.value);
      else filters.chosen.delete(facet);
      refresh();
    });
    byId("menus").append(menu);
  }
}

function prepareForm() {
  const form = byId("filters");
  byId("search").addEventListener("input", ({ target }) => {
    filters.text = target.value;
    refresh();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    Object.assign(filters, { text: "", status: "", cause: "", chosen: new Map() });
    refresh();
  });
}

byId("failures").addEventListener("click", ({ target }) => {
  const cause = target.closest("[data-cause]")?.dataset.cause;
  if (!cause) return;
  byId("filters").reset();
  filters.cause = cause;
  refresh();
  location.hash = "#/gallery";
});

addEventListener("keydown", (event) => {
  if (viewer.dialog.open || event.altKey || event.ctrlKey || event.metaKey) return;
  const search = byId("search");
  if (event.key === "Escape" && document.activeElement === search) search.blur();
  if (event.target.closest("input, select")) return;
  if (event.key === "/" && !byId("filters").hidden) {
    event.preventDefault();
    search.focus();
  } else if (gallery.step(event.key) && !byId("gallery").hidden && !event.target.closest(".card")) {
    event.preventDefault();
    gallery.focus(gallery.range()[0]);
  }
});
addEventListener("hashchange", showView);

byId("views").children[1].hidden = facets.length < 2;
prepareStatuses();
prepareMenus();
prepareForm();
grid.prepare();
showView();
refresh();
