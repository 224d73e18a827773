/* The graph of targets: what needs what from left to right, in the columns and the order that the report gives them. */
const WIDTH = 190, HEIGHT = 22, GAP = 6, BETWEEN = 90, MOST_EDGES = 2500;

/* Places of some targets; columns that are long are broken into several beside each other. */
function placed(numbers) {
  const columns = new Map();
  for (const number of numbers) {
    const height = targets[number].height;
    if (!columns.has(height)) columns.set(height, []);
    columns.get(height).push(number);
  }
  const longest = Math.max(8, ...[...columns.values()].map((column) => Math.ceil(Math.sqrt(column.length * 5))));
  const places = new Map();
  let x = 0;
  for (const height of [...columns.keys()].sort((a, b) => b - a)) {
    const column = columns.get(height).sort((a, b) => targets[a].order - targets[b].order);
    const rows = Math.min(longest, column.length);
    column.forEach((number, at) => {
      const inColumn = Math.min(rows, column.length - Math.floor(at / rows) * rows);
      const top = (-inColumn * (HEIGHT + GAP)) / 2;
      places.set(number, { x: x + Math.floor(at / rows) * (WIDTH + GAP * 2), y: top + (at % rows) * (HEIGHT + GAP) });
    });
    x += Math.ceil(column.length / rows) * (WIDTH + GAP * 2) + BETWEEN;
  }
  return places;
}

/* `focus` is a target that all shown ones are tied to, or null for all targets; the way to `other` is marked. */
function graph(focus, other, height) {
  const numbers = focus ? [...new Set([...reach(focus.number, "needs"), ...reach(focus.number, "needed")])] : targets.map((target) => target.number);
  const places = placed(numbers);
  const cells = new Map(); // places by a grid, so that what is under the pointer is found at once
  const cell = (x, y) => `${Math.floor(x / (WIDTH + GAP * 2))} ${Math.floor(y / 112)}`;
  for (const [number, { x, y }] of places) for (const key of new Set([cell(x, y), cell(x + WIDTH, y), cell(x, y + HEIGHT), cell(x + WIDTH, y + HEIGHT)])) {
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(number);
  }
  const edges = [];
  for (const number of numbers) for (const other of targets[number].needs) if (places.has(other)) edges.push([number, other]);

  function lines(context, rows, style, width) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    for (const [from, to] of rows) {
      const [a, b] = [places.get(from), places.get(to)];
      const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
      context.moveTo(x1, y1);
      context.bezierCurveTo((x1 + x2) / 2, y1, (x1 + x2) / 2, y2, x2, y2);
    }
    context.stroke();
  }

  function draw(context, view) {
    const { scale, x, y } = view;
    const colors = {};
    const paint = (name) => (colors[name] ||= color(name));
    context.translate(x, y);
    context.scale(scale, scale);
    const few = edges.length <= MOST_EDGES && (focus || edges.length <= 400);
    const shown = few ? edges : focus ? edges.filter((edge) => edge.includes(focus.number)) : [];
    lines(context, shown, paint("edge"), 1 / Math.min(1, scale));
    const near = view.hover || other;
    let marked = new Set();
    if (near) {
      const way = focus && near !== focus ? path(focus.number, near.number) : null;
      if (way) {
        marked = new Set(way);
        lines(context, way.slice(1).map((to, at) => (targets[way[at]].needs.includes(to) ? [way[at], to] : [to, way[at]])).filter(([a, b]) => places.has(a) && places.has(b)), paint("critical"), 2.5 / Math.min(1, scale));
      } else {
        const mine = edges.filter(([from, to]) => from === near.number || to === near.number);
        marked = new Set(mine.flat());
        lines(context, mine.slice(0, MOST_EDGES), paint("accent"), 1.5 / Math.min(1, scale));
      }
    }
    const [left, top, right, bottom] = [-x / scale - WIDTH, -y / scale - HEIGHT, (view.width - x) / scale, (view.height - y) / scale];
    const readable = scale * 12 >= 6.5;
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    for (const [number, place] of places) {
      if (place.x < left || place.x > right || place.y < top || place.y > bottom) continue;
      const target = targets[number];
      const own = focus && number === focus.number;
      if (readable) {
        context.fillStyle = own ? paint("mark") : paint("bg");
        context.fillRect(place.x, place.y, WIDTH, HEIGHT);
        context.fillStyle = paint(target.provides);
        context.fillRect(place.x, place.y, 5, HEIGHT);
        context.fillStyle = paint("text");
        context.fillText(clipped(context, target.label, WIDTH - 14), place.x + 10, place.y + HEIGHT / 2 + 0.5);
      } else {
        context.fillStyle = paint(target.provides);
        context.fillRect(place.x, place.y, WIDTH, HEIGHT);
      }
      if (own || target === near || marked.has(number) || readable) {
        context.strokeStyle = own || target === near ? paint("accent") : marked.has(number) ? paint("critical") : paint("line");
        context.lineWidth = (own || target === near || marked.has(number) ? 2 : 1) / Math.min(1, scale);
        context.strokeRect(place.x, place.y, WIDTH, HEIGHT);
      }
    }
  }

  const canvas = drawing({
    height,
    label: focus ? `Graph of what ${focus.label} is tied to; the lists beside it say the same` : "Graph of all targets; the table below it lists them",
    draw,
    at: (x, y) => {
      const found = (cells.get(cell(x, y)) || []).find((number) => {
        const place = places.get(number);
        return x >= place.x && x <= place.x + WIDTH && y >= place.y && y <= place.y + HEIGHT;
      });
      return found === undefined ? null : targets[found];
    },
    pick: (target) => { location.hash = toTarget(target); },
  });
  canvas.tip = (target) => {
    const way = focus && target !== focus ? path(focus.number, target.number) : null;
    const lines = [`${target.label}`, `${target.provides}; needs ${target.needs.length}, needed by ${target.needed.length}`];
    if (way) lines.push(way.map((number) => targets[number].label).join(" → "));
    return lines.join("\n");
  };
  canvas.fit = (view) => {
    const xs = [...places.values()].map((place) => place.x);
    const ys = [...places.values()].map((place) => place.y);
    const box = { left: Math.min(...xs), right: Math.max(...xs) + WIDTH, top: Math.min(...ys), bottom: Math.max(...ys) + HEIGHT };
    view.scale = Math.min(1.2, (view.width - 24) / (box.right - box.left), (view.height - 24) / (box.bottom - box.top));
    view.least = Math.min(view.scale / 2, 0.2);
    if (focus && view.scale < 0.55) { // too small to read: begin at the focus
      view.scale = 0.75;
      const place = places.get(focus.number);
      view.x = view.width / 2 - (place.x + WIDTH / 2) * view.scale;
      view.y = view.height / 2 - (place.y + HEIGHT / 2) * view.scale;
      return;
    }
    view.x = (view.width - (box.left + box.right) * view.scale) / 2;
    view.y = (view.height - (box.top + box.bottom) * view.scale) / 2;
  };
  canvas.redraw();
  return canvas;
}
