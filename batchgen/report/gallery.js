// The gallery: a card per matching task; only cards near the window are in the document.

const CARD = { min: 150, gap: 8, caption: 40, spare: 2 }; // pixels; spare: rows beyond the window

const gallery = {
  box: byId("cards"),
  tasks: [],
  cards: new Map(), // position -> element
  columns: 1,
  side: CARD.min,

  show(matches) {
    this.tasks = matches;
    this.forget();
    this.arrange();
  },

  forget() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
  },

  rowHeight() {
    return this.side + CARD.caption + CARD.gap;
  },

  /** Fit the columns to the width, and the height to the number of rows. */
  arrange() {
    const width = this.box.clientWidth;
    if (!width) return; // another view is shown
    this.columns = Math.max(2, Math.floor((width + CARD.gap) / (CARD.min + CARD.gap)));
    this.side = Math.floor((width - CARD.gap * (this.columns - 1)) / this.columns);
    const rows = Math.ceil(this.tasks.length / this.columns);
    this.box.style.height = `${rows * this.rowHeight()}px`;
    for (const [position, card] of this.cards) this.place(card, position);
    this.draw();
  },

  place(card, position) {
    const x = (position % this.columns) * (this.side + CARD.gap);
    const y = Math.floor(position / this.columns) * this.rowHeight();
    card.style.transform = `translate(${x}px, ${y}px)`;
    card.style.width = `${this.side}px`;
    card.style.height = `${this.side + CARD.caption}px`;
  },

  /** The positions near the window: the first one, and the one after the last. */
  range() {
    const top = -this.box.getBoundingClientRect().top;
    const first = Math.floor(top / this.rowHeight()) - CARD.spare;
    const last = Math.ceil((top + innerHeight) / this.rowHeight()) + CARD.spare;
    return [Math.max(0, first) * this.columns, Math.min(last * this.columns, this.tasks.length)];
  },

  /** Add the cards near the window and remove the others, except the focused one. */
  draw() {
    const [from, to] = this.range();
    for (const [position, card] of this.cards) {
      if ((position < from || position >= to) && card !== document.activeElement) {
        card.remove();
        this.cards.delete(position);
      }
    }
    for (let position = from; position < to; position += 1) {
      if (!this.cards.has(position)) this.add(position);
    }
  },

  add(position) {
    const task = this.tasks[position];
    const caption = element("span", { class: "caption" }, task.prompt || task.id);
    const card = element(
      "button",
      { type: "button", class: "card", title: task.id, data: { position } },
      thumbnail(task),
      caption,
    );
    this.place(card, position);
    this.cards.set(position, card);
    this.box.append(card);
  },

  focus(position) {
    if (position < 0 || position >= this.tasks.length) return;
    const top = this.box.getBoundingClientRect().top;
    const y = top + Math.floor(position / this.columns) * this.rowHeight();
    if (y < 0) scrollBy(0, y - CARD.gap);
    else if (y + this.rowHeight() > innerHeight) scrollBy(0, y + this.rowHeight() - innerHeight);
    this.draw();
    this.cards.get(position).focus({ preventScroll: true });
  },

  /** The number of positions that an arrow key moves by; undefined for other keys. */
  step(key) {
    return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[key];
  },
};

gallery.box.addEventListener("click", ({ target }) => {
  const card = target.closest(".card");
  if (card) viewer.open(gallery.tasks, Number(card.dataset.position));
});
gallery.box.addEventListener("keydown", (event) => {
  const step = gallery.step(event.key);
  const card = event.target.closest(".card");
  if (!step || !card) return;
  event.preventDefault();
  gallery.focus(Number(card.dataset.position) + step);
});
viewer.dialog.addEventListener("close", () => {
  if (viewer.list === gallery.tasks && gallery.box.clientWidth) gallery.focus(viewer.position);
});
addEventListener("scroll", () => gallery.draw(), { passive: true });
addEventListener("resize", () => {
  gallery.arrange();
});
