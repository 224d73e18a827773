/* Addresses, the search over everything, keys, and the colours. */
const view = document.getElementById("view");
const tabs = document.getElementById("tabs");
const find = document.getElementById("find");
const found = document.getElementById("found");
const help = document.getElementById("help");

const shown = [report.workspace, ...report.configurations.map((name) => `--config ${name}`)].join(" ");
document.getElementById("workspace").textContent = shown;
document.title = `${shown}: buildrules report`;
for (const [name, [title]] of Object.entries(VIEWS)) tabs.append(link(`#/${name}`, title, { "data-view": name }));

function show() {
  let parts;
  try { parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent); } catch { parts = [""]; }
  const [name, ...rest] = parts;
  const [title, make] = VIEWS[Object.hasOwn(VIEWS, name) ? name : ""];
  const made = make(...rest);
  const nodes = made.split ? made.nodes : [made].flat(9).filter(Boolean);
  view.className = made.split ? "split" : "";
  view.replaceChildren(...nodes);
  view.scrollTop = 0;
  view.setAttribute("aria-label", title);
  for (const tab of tabs.children) tab.dataset.view === name ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
  found.hidden = true;
  showTip("");
}

/* What is found by all words: first where a name begins with them, then by length. */
const everything = [
  ...targets.map((target) => ({ text: target.label, kind: target.provides, href: toTarget(target), dot: target.provides })),
  ...layers.map((layer) => ({ text: `${layer.title} ${layerOf(layer).label} ${short(layer.digest)}`, kind: `layer, ${bytes(layer.size)}`, href: toLayer(layer), dot: shareColor(layer) })),
  ...steps.map((step) => ({ text: `${step.title} ${targets[step.target].label}`, kind: "step", href: toStep(step), dot: "other" })),
].map((row) => ({ ...row, lower: row.text.toLowerCase() }));

function search() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = !words.length ? [] : everything.filter((row) => words.every((word) => row.lower.includes(word)))
    .sort((a, b) => Number(b.lower.endsWith(words[0])) - Number(a.lower.endsWith(words[0])) || a.text.length - b.text.length).slice(0, 14);
  found.replaceChildren(...rows.map((row, at) => el("a", { href: row.href, role: "option", "aria-selected": String(at === 0) }, dot(row.dot), row.text, el("span", { class: "kind" }, row.kind))));
  if (words.length && !rows.length) found.append(el("a", {}, "nothing has this name"));
  found.hidden = !words.length;
}

find.addEventListener("input", search);
find.addEventListener("focus", search);
find.addEventListener("keydown", (event) => {
  const rows = [...found.querySelectorAll("[role=option]")];
  const at = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = rows[(at + (event.key === "ArrowDown" ? 1 : rows.length - 1)) % rows.length];
    for (const row of rows) row.setAttribute("aria-selected", String(row === next));
    next?.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  } else if (event.key === "Enter" && rows[at]) {
    location.hash = rows[at].getAttribute("href");
    find.value = "";
    find.blur();
    found.hidden = true;
  } else if (event.key === "Escape") { find.value = ""; found.hidden = true; find.blur(); view.focus(); }
});
document.addEventListener("click", (event) => { if (!event.target.closest(".find")) found.hidden = true; });
found.addEventListener("click", () => { found.hidden = true; find.value = ""; });

/* The system's colours unless somebody chose others; a page of a file may not be allowed to remember. */
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("buildrules-theme"); } catch { /* then it does not */ }
function paint() {
  document.documentElement.dataset.theme = chosen || (dark.matches ? "dark" : "light");
  document.documentElement.style.colorScheme = document.documentElement.dataset.theme;
  for (const canvas of document.querySelectorAll("canvas")) canvas.redraw();
}
function toggle() {
  chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("buildrules-theme", chosen); } catch { /* as above */ }
  paint();
}
dark.addEventListener("change", paint);
document.getElementById("theme").addEventListener("click", toggle);

const KEYS = [["/", "find a target, layer or step"], ["1 to 8", "go to a view"], ["arrows, + and −", "move and zoom a drawing that has the focus"], ["t", "light or dark"], ["Escape", "leave the search, close this"], ["?", "this list"]];
help.append(el("h1", {}, "Keys"), el("dl", {}, KEYS.flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])), el("form", { method: "dialog" }, el("button", {}, "Close")));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog")) return;
  if (event.key === "/") { find.focus(); event.preventDefault(); }
  else if (event.key === "?") help.showModal();
  else if (event.key === "t") toggle();
  else if (/^[1-8]$/.test(event.key)) location.hash = `#/${Object.keys(VIEWS)[Number(event.key) - 1]}`;
});

addEventListener("hashchange", show);
paint();
show();
