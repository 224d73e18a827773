"use strict";
/* The report as objects: rows of tables by the names of their columns, and what follows from them. */
const report = JSON.parse(document.getElementById("data").textContent);

function table(value) {
  return value.rows.map((row, number) => {
    const found = { number };
    value.columns.forEach((name, at) => { found[name] = row[at]; });
    return found;
  });
}

const targets = table(report.targets);
const steps = table(report.steps);
const layers = table(report.layers);
const images = table(report.images);
const ran = report.build ? table(report.build.steps) : [];

for (const target of targets) Object.assign(target, { needed: [], steps: [], images: [] });
for (const target of targets) for (const other of target.needs) targets[other].needed.push(target.number);
for (const layer of layers) layer.images = [];
for (const step of steps) { step.needed = []; step.ran = null; targets[step.target].steps.push(step); }
for (const step of steps) for (const other of step.needs) steps[other].needed.push(step.number);
for (const image of images) {
  targets[image.target].images.push(image);
  for (const layer of image.layers) layers[layer].images.push(image);
}
for (const row of ran) steps[row.step].ran = row;

const why = (number) => report.reasons[number] || [];

/* Links to nodes hold names, so that they lead to the same thing in another report. */
const names = (...parts) => parts.map(encodeURIComponent).join("/");
const toTarget = (target) => "#/targets/" + names(target.label);
const toLayer = (layer) => "#/layers/" + names(layer.digest);
const toStep = (step) => "#/steps/" + names(targets[step.target].label, step.title);
const byLabel = new Map(targets.map((target) => [target.label, target]));
const byDigest = new Map(layers.map((layer) => [layer.digest, layer]));
const byStep = new Map();
for (const step of steps) {
  const link = toStep(step);
  if (!byStep.has(link)) byStep.set(link, step);
}

function bytes(size) {
  let value = size;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5 || unit === "GB") return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return "";
}
const seconds = (value) => (value == null ? "" : value >= 100 ? `${value.toFixed(0)} s` : value >= 1 ? `${value.toFixed(2)} s` : `${(value * 1000).toFixed(1)} ms`);
const counted = (number, one) => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;
const short = (digest) => digest.replace("sha256:", "").slice(0, 12);
const sum = (rows, value) => rows.reduce((total, row) => total + value(row), 0);
const stored = sum(layers, (layer) => layer.size);
const unshared = sum(layers, (layer) => layer.size * Math.max(1, layer.images.length));
const sharedBy = (layer) => new Set(layer.images.map((image) => image.target)).size;

/* All that a target needs, or that needs it, itself among them. */
function reach(start, following) {
  const found = new Set([start]);
  const waiting = [start];
  while (waiting.length) for (const other of targets[waiting.pop()][following]) if (!found.has(other)) { found.add(other); waiting.push(other); }
  return found;
}

/* A shortest way from one target down to another, or up; null where there is none. */
function path(from, to) {
  for (const following of ["needs", "needed"]) {
    const before = new Map([[from, null]]);
    const waiting = [from];
    for (const node of waiting) {
      if (node === to) break;
      for (const other of targets[node][following]) if (!before.has(other)) { before.set(other, node); waiting.push(other); }
    }
    if (before.has(to)) {
      const found = [];
      for (let node = to; node !== null; node = before.get(node)) found.push(node);
      return following === "needs" ? found.reverse() : found;
    }
  }
  return null;
}
