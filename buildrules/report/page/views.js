/* The views, each by the first part of the address: what it is called, and what it shows of the rest. */
const split = (left, right) => ({ split: true, nodes: [el("div", { class: "left" }, left), right] });
const room = (left = 300) => Math.max(300, Math.min(900, innerHeight - left));
const bar = (part) => el("span", { class: "bar", style: { width: `${Math.max(1, Math.min(100, part * 100))}%` } });
const did = () => ran.filter((row) => row.status !== "unchanged");
const isLint = (row) => steps[row.step].kind.startsWith("lint");
const built = () => did().filter((row) => row.status !== "cached" && !isLint(row));

function outcome(head) {
  if (head.exit_code == null) return el("span", { class: "warn" }, "did not end");
  return head.exit_code === 0 ? el("span", { class: "good" }, "succeeded") : el("span", { class: "bad" }, head.exit_code === 130 ? "interrupted" : `failed (${head.exit_code})`);
}
const headline = (head) => el("p", { class: "soft" }, el("span", { class: "mono" }, `buildrules ${head.verb} ${(head.patterns || []).join(" ")}`), " ", outcome(head), ` in ${seconds(head.seconds) || "?"}, ${head.time}, build ${head.id}`);
const nothing = (text, command) => el("div", {}, el("p", {}, text), el("p", { class: "mono" }, command));

function overview() {
  const build = report.build;
  const figure = (href, value, text) => el("a", { class: "figure", href }, el("b", {}, value), text);
  const slow = did().slice().sort((a, b) => b.seconds - a.seconds).slice(0, 8);
  const large = layers.slice().sort((a, b) => b.size - a.size).slice(0, 8);
  const causes = new Map();
  for (const row of built()) if (row.status === "executed") { const cause = why(row.reasons)[0] || "no reason was noted"; causes.set(cause, (causes.get(cause) || 0) + 1); }
  const failed = ran.filter((row) => row.status === "failed");
  return [
    build ? headline(build) : null,
    build?.error ? errorText(build.error) : null,
    el("div", { class: "figures" },
      figure("#/targets", packages.length.toLocaleString("en"), `packages of ${counted(targets.length, "target")}`),
      figure("#/layers", bytes(stored), `stored in ${counted(layers.length, "layer")}`),
      figure("#/layers", unshared ? `${(100 * (1 - stored / unshared)).toFixed(0)} %` : "0 %", `spared by sharing, of ${bytes(unshared)}`),
      build ? figure("#/time", seconds(build.seconds) || "?", "the last build") : null,
      build ? figure("#/why", (build.counts.executed ?? built().length).toLocaleString("en"), "steps were built") : null,
      report.tests ? figure("#/tests", tested("passed") + tested("cached") + tested("flaky") + ` of ${report.tests.rows.length}`, "tests passed") : null,
      report.push ? figure("#/push", bytes(report.push.bytes.sent || 0), "sent by the last push") : null),
    failed.length ? [el("h2", {}, "What failed"), failed.map((row) => el("div", {}, el("p", {}, statusText("failed"), " ", stepLink(steps[row.step]), " of ", targetLink(targets[steps[row.step].target])), row.error ? errorText(row.error) : null))] : null,
    el("div", { class: "columns" },
      el("div", {}, el("h2", {}, "Where the time is"), slow.length ? list(slow, (row) => [stepLink(steps[row.step]), el("span", { class: "kind" }, ` ${seconds(row.seconds)}, ${targets[steps[row.step].target].label}`), bar(row.seconds / slow[0].seconds)]) : el("p", { class: "soft" }, "nothing ran"), slow.length ? link("#/time", "timeline and critical path") : null),
      el("div", {}, el("h2", {}, "Why it was built"), causes.size ? [list([...causes].sort((a, b) => b[1] - a[1]).slice(0, 8), ([cause, number]) => [cause, " ", el("span", { class: "kind" }, counted(number, "step"))]), link("#/why", "each step")] : el("p", { class: "soft" }, "nothing was built; ", link("#/steps", "why each step was last"))),
      el("div", {}, el("h2", {}, "Largest layers"), list(large, (layer) => [layerLink(layer), layerNote(layer), bar(layer.size / large[0].size)]), link("#/layers", "all layers"))),
  ];
}

/* A field that leads to the way from one target to another, and that way. */
function wayTo(focus, other) {
  const way = other ? path(focus.number, other.number) : null;
  const go = (event) => { if (event.key === "Enter" && byLabel.has(event.target.value)) location.hash = `${toTarget(focus)}/${names(event.target.value)}`; };
  const ties = [...reach(focus.number, "needs"), ...reach(focus.number, "needed")].filter((number) => number !== focus.number).slice(0, 2000);
  return [
    el("input", { type: "search", list: "ties", placeholder: "The way to another target", "aria-label": "The way to another target", value: other?.label, on: { keydown: go } }),
    el("datalist", { id: "ties" }, ties.map((number) => el("option", { value: targets[number].label }))),
    other ? el("span", {}, way ? way.flatMap((number, at) => [at ? " → " : "", targetLink(targets[number])]) : "neither needs the other") : null,
  ];
}

function targetsView(label, to) {
  const focus = byLabel.get(label);
  const other = focus ? byLabel.get(to) : null;
  const kinds = [...new Set(targets.map((target) => target.provides))].sort();
  const drawn = graph(focus || null, other || null, room(focus ? 190 : 300));
  const tools = el("div", { class: "tools" },
    focus ? link("#/targets", "all targets") : el("span", { class: "soft" }, "choose one for all it is tied to"),
    el("button", { type: "button", "aria-label": "Larger", on: { click: () => drawn.zoom(1.3) } }, "+"),
    el("button", { type: "button", "aria-label": "Smaller", on: { click: () => drawn.zoom(1 / 1.3) } }, "−"),
    legend(kinds.map((kind) => [kind, kind])),
    focus ? wayTo(focus, other) : null);
  if (focus) return split([tools, drawn, el("p", { class: "soft" }, "From left to right: what needs it, itself, what it needs. Point at another target for the way to it.")], targetDetails(focus));
  return [tools, drawn, el("h2", {}, "Targets"), sortable(targets, [
    { name: "target", value: (target) => target.label, show: (target) => [dot(target.provides), targetLink(target)] },
    { name: "provides", value: (target) => target.provides },
    { name: "image", number: true, value: (target) => sum(target.images, (image) => image.size), show: (target) => (target.images.length ? bytes(sum(target.images, (image) => image.size)) : "") },
    { name: "needs", number: true, value: (target) => target.needs.length },
    { name: "needed by", number: true, value: (target) => target.needed.length },
  ])];
}

let apart = false;
function layersView(digest) {
  const focus = byDigest.get(digest);
  const mode = (text, value) => el("button", { type: "button", "aria-pressed": String(apart === value), on: { click: () => { apart = value; show(); } } }, text);
  const left = [
    el("div", { class: "tools" }, mode("stored once", false), mode("as if nothing were shared", true), shareLegend()),
    el("p", { class: "soft" }, `${bytes(stored)} stored, each layer once; ${bytes(unshared)} if nothing were shared`),
    treemap(focus || null, room() - 40, apart),
    el("h2", {}, "Layers"),
    sortable(layers, [
      { name: "layer", value: (layer) => layer.title, show: layerLink },
      { name: "target", value: (layer) => layerOf(layer).label, show: (layer) => targetLink(layerOf(layer)) },
      { name: "size", number: true, value: (layer) => layer.size, show: (layer) => bytes(layer.size) },
      { name: "packages", number: true, value: sharedBy },
      { name: "spared", number: true, value: (layer) => layer.size * Math.max(0, layer.images.length - 1), show: (layer) => bytes(layer.size * Math.max(0, layer.images.length - 1)) },
      { name: "holds", value: (layer) => layer.holds },
      { name: "digest", value: (layer) => layer.digest, show: (layer) => el("span", { class: "mono" }, short(layer.digest)) },
    ], { sort: 2, down: true }),
  ];
  return focus ? split(left, layerDetails(focus)) : left;
}

function timeView() {
  if (!ran.length) return nothing("No build of this workspace that did something is kept.", "buildrules build //...");
  const chain = ran.filter((row) => row.critical).sort((a, b) => a.at - b.at);
  const whole = sum(chain, (row) => row.seconds);
  const drawn = timeline();
  return [
    headline(report.build),
    el("div", { class: "tools" }, legend([["critical", "critical path"], ["executed", "built"], ["cached", "from a record"], ["failed", "failed"]]),
      el("button", { type: "button", "aria-label": "Larger", on: { click: () => drawn.zoom(1.6) } }, "+"), el("button", { type: "button", "aria-label": "Smaller", on: { click: () => drawn.zoom(1 / 1.6) } }, "−")),
    drawn,
    el("h2", {}, "Critical path"),
    el("p", { class: "soft" }, `${counted(chain.length, "step")}, ${seconds(whole)}${chain.length > 1 ? " one after another, each of which needs the one before" : ""}: no number of workers makes the build faster than that.`),
    sortable(chain, [
      { name: "began", number: true, value: (row) => row.at, show: (row) => seconds(row.at) },
      { name: "step", value: (row) => steps[row.step].title, show: (row) => stepLink(steps[row.step]) },
      { name: "target", value: (row) => targets[steps[row.step].target].label, show: (row) => targetLink(targets[steps[row.step].target]) },
      { name: "took", number: true, value: (row) => row.seconds, show: (row) => [seconds(row.seconds), bar(row.seconds / whole)] },
    ]),
    el("h2", {}, "All steps"), ranTable(did(), 2),
  ];
}

const builtText = (row) => (isLint(row) && row.status === "executed" ? el("span", {}, dot(row.status), "linted") : statusText(row.status));
const ranTable = (rows, sort) => sortable(rows, [
  { name: "step", value: (row) => steps[row.step].title, show: (row) => stepLink(steps[row.step]) },
  { name: "target", value: (row) => targets[steps[row.step].target].label, show: (row) => targetLink(targets[steps[row.step].target]) },
  { name: "took", number: true, value: (row) => row.seconds, show: (row) => seconds(row.seconds) },
  { name: "status", value: (row) => (isLint(row) && row.status === "executed" ? "linted" : STATUS[row.status]), show: builtText },
  { name: "why", value: (row) => why(row.reasons).join(" "), show: (row) => { const told = why(row.reasons); return told.length > 1 ? `${told[0]} (+${told.length - 1} more)` : told[0] || ""; } },
], { sort, down: sort === 2 });

function whyView() {
  if (!ran.length) return nothing("No build of this workspace that did something is kept.", "buildrules build //...");
  return [headline(report.build), built().length ? ranTable(built(), 3) : el("p", {}, "This build reused every step. ", link("#/steps", "Steps"), " has the reasons for which each was last built.")];
}

function stepsView(label, title) {
  const focus = byStep.get("#/steps/" + names(label ?? "", title ?? ""));
  if (!focus) return [sortable(steps, [
    { name: "step", value: (step) => step.title, show: stepLink },
    { name: "target", value: (step) => targets[step.target].label, show: (step) => targetLink(targets[step.target]) },
    { name: "kind", value: (step) => step.kind },
    { name: "layers", number: true, value: (step) => step.layers.length },
    { name: "last time why", value: (step) => why(step.reasons).join(" "), show: (step) => why(step.reasons)[0] || "" },
  ])];
  return split([ran.length ? [el("h2", {}, "The last build"), ranTable(did(), 3)] : el("p", {}, link("#/steps", "all steps"))], stepDetails(focus));
}

const tested = (status) => report.tests.rows.filter((row) => row.status === status).length;
function testsView() {
  if (!report.tests) return nothing("No tests of this workspace are kept.", "buildrules test //...");
  const label = (text) => (byLabel.has(text) ? targetLink(byLabel.get(text)) : text);
  return [headline(report.tests), el("p", { class: "soft" }, "The newest result of each test, as far back as logs are kept; the line above is of the last command that tested."), sortable(report.tests.rows, [
    { name: "test", value: (row) => row.label, show: (row) => label(row.label) },
    { name: "package", value: (row) => row.package || "", show: (row) => label(row.package || "") },
    { name: "platform", value: (row) => row.platform },
    { name: "status", value: (row) => row.status, show: (row) => el("span", { class: { failed: "bad", "not run": "bad", passed: "good", cached: "good" }[row.status] || "warn" }, row.status) },
    { name: "took", number: true, value: (row) => row.seconds || 0, show: (row) => seconds(row.seconds) },
    { name: "asked", value: (row) => row.time || "" },
    { name: "what went wrong", value: (row) => JSON.stringify(row.failures || row.error || row.reason || row.flaky || ""), show: (row) => (row.failures ? errorText({ message: "", failures: row.failures }) : row.error ? errorText(row.error) : row.reason || row.flaky || "") },
  ], { sort: 3, placeholder: "Search tests" })];
}

function pushView() {
  const push = report.push;
  if (!push) return nothing("No push of this workspace is kept.", "buildrules push //... --to REGISTRY");
  const blobs = push.packages.flatMap((one) => one.blobs.map((blob) => ({ ...blob, label: one.label, repository: one.repository })));
  const label = (text) => (byLabel.has(text) ? targetLink(byLabel.get(text)) : text);
  return [headline(push),
    el("div", { class: "figures" }, Object.entries(push.bytes).filter(([, size]) => typeof size === "number").map(([how, size]) => el("div", { class: "figure" }, el("b", {}, bytes(size)), { sent: "sent", there: "there already", mounted: "mounted", shared: "came with another image" }[how] || how))),
    el("p", {}, `${counted((push.tags_moved || []).length, "tag")} moved`, push.left_out?.length ? `, ${counted(push.left_out.length, "package")} left out` : ""),
    push.left_out?.length ? list(push.left_out, (row) => [label(row.label), ": ", row.reason]) : null,
    sortable(blobs, [
      { name: "what became of it", value: (row) => row.how },
      { name: "size", number: true, value: (row) => row.size, show: (row) => bytes(row.size) },
      { name: "layer", value: (row) => byDigest.get(row.digest)?.title || row.kind, show: (row) => (byDigest.has(row.digest) ? layerLink(byDigest.get(row.digest)) : `${row.kind} ${short(row.digest)}`) },
      { name: "holds", value: (row) => row.kind },
      { name: "package", value: (row) => row.label, show: (row) => label(row.label) },
      { name: "repository", value: (row) => row.repository, show: (row) => el("span", { class: "mono" }, row.repository) },
    ], { sort: 0, placeholder: "Search blobs" })];
}

const VIEWS = {
  "": ["Overview", overview],
  targets: ["Graph", targetsView],
  layers: ["Layers", layersView],
  time: ["Time", timeView],
  why: ["Why", whyView],
  steps: ["Steps", stepsView],
  tests: ["Tests", testsView],
  push: ["Push", pushView],
};
