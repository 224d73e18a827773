/* The steps of the last build as bars over time, a row for each worker; the longest chain stands out. */
function timeline() {
  const rows = ran.filter((row) => row.status !== "unchanged" && row.status !== "skipped");
  const workers = [...new Set(rows.map((row) => row.worker))].sort((a, b) => a - b);
  const line = new Map(workers.map((worker, at) => [worker, at]));
  const end = Math.max(0.001, ...rows.map((row) => row.at + row.seconds));
  const TOP = 24, TALL = 24;
  const byWorker = workers.map((worker) => rows.filter((row) => row.worker === worker));
  const canvas = drawing({
    height: TOP + workers.length * (TALL + 4) + 10,
    onlyX: true,
    label: "Steps of the last build over time; the table below lists the longest chain",
    draw(context, view) {
      const colors = {};
      const paint = (name) => (colors[name] ||= color(name));
      const x = (value) => view.x + value * view.scale;
      context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
      context.textBaseline = "middle";
      const unit = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600].find((one) => one * view.scale >= 80) || 1800;
      for (let time = Math.max(0, Math.floor(-view.x / view.scale / unit) * unit); x(time) < view.width; time += unit) {
        context.fillStyle = paint("line");
        context.fillRect(x(time), 0, 1, view.height);
        context.fillStyle = paint("soft");
        context.fillText(time ? seconds(time) : "0 s", x(time) + 4, 11);
      }
      for (const critical of [0, 1]) for (const row of rows) {
        if (row.critical !== critical) continue;
        const left = x(row.at);
        const wide = Math.max(1, row.seconds * view.scale);
        if (left > view.width || left + wide < 0) continue;
        const top = TOP + line.get(row.worker) * (TALL + 4);
        context.fillStyle = paint(row.status === "failed" ? "failed" : row.critical ? "critical" : row.status);
        context.fillRect(left, top, wide, TALL);
        if (row === view.hover) { context.strokeStyle = paint("text"); context.lineWidth = 2; context.strokeRect(left, top, wide, TALL); }
        if (wide > 50) {
          context.fillStyle = document.documentElement.dataset.theme === "dark" ? "#14171b" : "#ffffff";
          const from = Math.max(left, 0);
          context.fillText(clipped(context, steps[row.step].title, left + wide - from - 10), from + 5, top + TALL / 2 + 0.5);
        }
      }
    },
    at(time, y, view) {
      const lane = byWorker[Math.floor((y - TOP) / (TALL + 4))];
      const slack = 2 / view.scale;
      return (lane && lane.find((row) => time >= row.at - slack && time <= row.at + Math.max(row.seconds, slack))) || null;
    },
    pick: (row) => { location.hash = toStep(steps[row.step]); },
  });
  canvas.tip = (row) => `${steps[row.step].title}\n${targets[steps[row.step].target].label}\n${seconds(row.seconds)}, ${STATUS[row.status]}${row.critical ? ", on the critical path" : ""}\n${why(row.reasons)[0] || ""}`;
  canvas.fit = (view) => {
    view.scale = (view.width - 20) / end;
    view.x = 10;
    view.least = view.scale;
    view.most = view.scale * 5000;
  };
  canvas.redraw();
  return canvas;
}
