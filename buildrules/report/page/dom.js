/* Elements. Whatever a workspace wrote becomes text here and nothing else. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (key === "style") Object.assign(made.style, value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) if (child != null) made.append(child);
  return made;
}
const link = (href, text, more) => el("a", { href, ...more }, text);
const dot = (name) => el("span", { class: "dot", style: { background: `var(--${name})` } });
const targetLink = (target) => link(toTarget(target), target.label);
const layerLink = (layer) => link(toLayer(layer), layer.title);
const layerOf = (layer) => targets[steps[layer.step].target];
const layerNote = (layer) => el("span", { class: "kind" }, ` ${bytes(layer.size)}, in ${counted(sharedBy(layer), "package")}`);
const stepLink = (step) => link(toStep(step), step.title);
const STATUS = { executed: "built", cached: "from a record", unchanged: "unchanged", failed: "failed", skipped: "skipped" };
const statusText = (status) => el("span", { class: status === "failed" ? "bad" : "" }, dot(status), STATUS[status] || status);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const legend = (rows) => el("div", { class: "legend" }, rows.map(([name, text]) => el("span", {}, dot(name), text)));
const definitions = (rows) => el("dl", {}, rows.filter((row) => row && row[1] != null && row[1] !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/* A list that shows its first rows, and more when it is asked to. */
function list(rows, make, most = 40) {
  const made = el("ul", { class: "plain" });
  let shown = 0;
  const more = el("button", { type: "button", on: { click: () => show(most * 5) } });
  function show(number) {
    more.remove();
    for (const row of rows.slice(shown, shown + number)) made.append(el("li", {}, make(row)));
    shown = Math.min(rows.length, shown + number);
    more.textContent = `${(rows.length - shown).toLocaleString("en")} more`;
    if (shown < rows.length) made.append(el("li", {}, more));
  }
  show(most);
  return made;
}

const tip = el("div", { class: "tip", hidden: true });
document.body.append(tip);
function showTip(text, event) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
}
