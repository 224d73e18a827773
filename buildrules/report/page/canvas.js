/* A drawing that is moved by dragging, wheel and keys. `draw(context, view)` draws what the view shows of it. */
function drawing({ height, draw, at, pick, label, onlyX = false }) {
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": label });
  const view = { x: 0, y: 0, scale: 1, width: 0, height, hover: null };
  const context = canvas.getContext("2d");
  let due = false;
  let frames = 0;
  canvas.style.height = `${height}px`;
  canvas.view = view;
  canvas.frames = () => frames;
  canvas.redraw = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (!canvas.isConnected) return;
      const ratio = devicePixelRatio || 1;
      const width = canvas.clientWidth;
      const tall = canvas.clientHeight;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(tall * ratio);
      }
      Object.assign(view, { width, height: tall });
      if (canvas.fit) { canvas.fit(view); canvas.fit = null; }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, tall);
      draw(context, view);
      frames += 1;
    });
  };
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const inside = ([x, y]) => at(onlyX ? (x - view.x) / view.scale : (x - view.x) / view.scale, onlyX ? y : (y - view.y) / view.scale, view);
  canvas.zoom = (factor, x = view.width / 2, y = view.height / 2) => {
    const scale = Math.max(view.least || 0.01, Math.min(view.most || 4, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    if (!onlyX) view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    canvas.redraw();
  };
  canvas.pan = (x, y) => { view.x += x; if (!onlyX) view.y += y; canvas.redraw(); };
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, y: event.clientY, moved: false }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      const [x, y] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.abs(x) + Math.abs(y) < 4) return;
      Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
      showTip("");
      canvas.pan(x, y);
      return;
    }
    const found = inside(place(event));
    if (found !== view.hover) { view.hover = found; canvas.redraw(); }
    canvas.style.cursor = found ? "pointer" : "grab";
    showTip(found ? canvas.tip(found) : "", event);
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = held && !held.moved;
    held = null;
    const found = clicked ? inside(place(event)) : null;
    if (found) { showTip(""); pick(found); }
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => { showTip(""); if (view.hover) { view.hover = null; canvas.redraw(); } });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); canvas.zoom(Math.exp(-event.deltaY * 0.0015), ...place(event)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (moves[event.key]) canvas.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") canvas.zoom(1.3);
    else if (event.key === "-") canvas.zoom(1 / 1.3);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(canvas.redraw).observe(canvas);
  return canvas;
}

/* As much of a text as has room. */
function clipped(context, text, room) {
  const most = Math.floor(room / (context.charWidth || 6.8));
  return text.length <= most ? text : most < 4 ? "" : text.slice(0, most - 1) + "…";
}
