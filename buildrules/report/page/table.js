/* Tables that sort by any column and are searched by all of them. Rows are drawn as far as they are looked at. */
const ROWS = 200;

/* `columns` are {name, value(row), show(row), number}: what is sorted and searched by, and what is shown. */
function sortable(rows, columns, { sort = 0, down = false, placeholder = "Search these rows" } = {}) {
  let order = sort;
  let falling = down;
  let limit = ROWS;
  const texts = new Map();
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, columns.map((column) => String(column.value(row))).join(" ").toLowerCase());
    return texts.get(row);
  };
  const search = el("input", { type: "search", placeholder, "aria-label": placeholder, on: { input: () => { limit = ROWS; draw(); } } });
  const count = el("span", { class: "soft" });
  const head = el("tr", {});
  const body = el("tbody", {});
  const more = el("button", { type: "button", on: { click: () => { limit += 1000; draw(); } } }, "Show more");
  columns.forEach((column, at) => {
    const press = () => {
      falling = order === at ? !falling : Boolean(column.number);
      order = at;
      draw();
    };
    head.append(el("th", { class: column.number ? "number" : "" }, el("button", { type: "button", on: { click: press } }, column.name)));
  });

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => words.every((word) => text(row).includes(word)));
    const by = columns[order].value;
    found.sort((one, other) => {
      const [a, b] = [by(one), by(other)];
      const less = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
      return falling ? -less : less;
    });
    [...head.children].forEach((cell, at) => {
      cell.setAttribute("aria-sort", at !== order ? "none" : falling ? "descending" : "ascending");
      cell.firstChild.textContent = columns[at].name + (at !== order ? "" : falling ? " ↓" : " ↑");
    });
    body.replaceChildren(...found.slice(0, limit).map((row) => el("tr", {}, columns.map((column) => el("td", { class: column.number ? "number" : "" }, column.show ? column.show(row) : column.value(row))))));
    count.textContent = words.length ? `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : rows.length.toLocaleString("en");
    more.hidden = found.length <= limit;
  }
  draw();
  return el("div", {}, el("div", { class: "tools" }, search, count), el("div", { class: "table" }, el("table", {}, el("thead", {}, head), body)), more);
}
