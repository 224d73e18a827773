/* What is known of one node: beside the drawings, with links to all that it is tied to. */
function targetDetails(target) {
  const mine = target.steps.flatMap((step) => step.layers.map((number) => layers[number]));
  const told = target.steps.filter((step) => step.ran && step.ran.status !== "unchanged");
  return el("aside", { "aria-label": "Details" },
    el("h1", {}, dot(target.provides), target.label),
    definitions([["provides", target.provides], ["needs", counted(target.needs.length, "target")], ["needed by", counted(reach(target.number, "needed").size - 1, "target") + " in all"]]),
    target.images.map((image) => [
      el("h2", {}, `Image ${image.platform}`),
      definitions([["digest", el("span", { class: "mono" }, image.digest)], ["size", `${bytes(image.size)}, ${counted(image.layers.length, "layer")}`], ["its own", bytes(sum(image.layers.map((number) => layers[number]).filter((layer) => sharedBy(layer) < 2), (layer) => layer.size))]]),
      list(image.layers.map((number) => layers[number]), (layer) => [layerLink(layer), layerNote(layer)]),
    ]),
    told.length ? [el("h2", {}, "Why it was rebuilt"), list(told, (step) => [statusText(step.ran.status), " ", stepLink(step), ": ", why(step.ran.reasons)[0] || ""])] : null,
    section("Needs", target.needs.map((number) => targets[number]), (other) => [dot(other.provides), targetLink(other)]),
    section("Needed by", target.needed.map((number) => targets[number]), (other) => [dot(other.provides), targetLink(other)]),
    section("Steps", target.steps, (step) => [stepLink(step), " ", el("span", { class: "kind" }, step.kind)]),
    target.images.length ? null : section("Layers", mine, (layer) => [layerLink(layer), layerNote(layer)]));
}

function section(title, rows, make) {
  return rows.length ? [el("h2", {}, title, " ", el("span", { class: "soft" }, rows.length.toLocaleString("en"))), list(rows, make)] : null;
}

function layerDetails(layer) {
  const step = steps[layer.step];
  const others = [...new Set(layer.images.map((image) => image.target))].map((number) => targets[number]);
  const sent = (report.push?.packages || []).flatMap((one) => one.blobs.filter((blob) => blob.digest === layer.digest).map((blob) => `${blob.how} for ${one.label}`));
  return el("aside", { "aria-label": "Details" },
    el("h1", {}, layer.title),
    definitions([
      ["size", bytes(layer.size)],
      ["digest", el("span", { class: "mono" }, layer.digest)],
      ["holds", layer.holds],
      ["made by", [stepLink(step), " of ", targetLink(targets[step.target])]],
      ["spared", others.length > 1 ? `${bytes(layer.size * (layer.images.length - 1))} by sharing` : ""],
      ["last push", sent[0]],
    ]),
    el("h2", {}, others.length > 1 ? `Shared by ${counted(others.length, "package")}` : others.length ? "In one package" : "In no package"),
    list(others, targetLink),
    el("h2", {}, "Why it was made"), reasons(step));
}

function reasons(step) {
  const told = step.ran ? why(step.ran.reasons) : why(step.reasons);
  return told.length ? list(told, (reason) => reason) : el("p", { class: "soft" }, "it has not changed since it was first made here");
}

function stepDetails(step) {
  const row = step.ran;
  return el("aside", { "aria-label": "Details" },
    el("h1", {}, step.title),
    definitions([
      ["of", targetLink(targets[step.target])],
      ["kind", step.kind],
      ["key", step.key ? el("span", { class: "mono" }, step.key) : ""],
      ["where", whereRan(row?.placed)],
      ["last build", row ? [statusText(row.status), `, ${seconds(row.seconds)}, began at ${seconds(row.at)}`] : "not looked at: nothing it reads had changed"],
      ["critical", row?.critical ? "on the longest chain of the build" : ""],
    ]),
    row?.error ? errorText(row.error) : null,
    el("h2", {}, "Why"), reasons(step),
    section("Layers", step.layers.map((number) => layers[number]), (layer) => [layerLink(layer), " ", el("span", { class: "kind" }, bytes(layer.size))]),
    section("Reads what these made", step.needs.map((number) => steps[number]), (other) => [stepLink(other), " ", el("span", { class: "kind" }, targets[other.target].label)]),
    section("Read by", step.needed.map((number) => steps[number]), (other) => [stepLink(other), " ", el("span", { class: "kind" }, targets[other.target].label)]));
}

/* Where a step was run, of a build that had other machines. */
function whereRan(row) {
  if (!row) return "";
  if (row.stayed) return `here: ${row.stayed}`;
  const took = row.cached ? "which had made it before" : row.seconds == null ? "" : `which took ${seconds(row.seconds)}`;
  return [`on ${row.worker || "another machine"}`, took, row.queued ? `after ${seconds(row.queued)} of waiting` : "",
    row.sent ? `${bytes(row.sent)} there` : "", row.fetched ? `${bytes(row.fetched)} back` : ""].filter(Boolean).join(", ");
}

function errorText(error) {
  return el("div", {}, el("p", { class: "bad" }, [error.position, error.message].filter(Boolean).join(": ")),
    error.hint ? el("p", {}, `hint: ${error.hint}`) : null,
    (error.failures || []).map((one) => el("div", {}, el("p", { class: "bad" }, `${one.request ? one.request + ": " : ""}${one.kind}: ${one.message}`), one.detail ? el("pre", {}, one.detail) : null, one.log ? el("pre", {}, one.log) : null)),
    error.log ? el("pre", {}, error.log) : null);
}
