/* The layers by size, in groups of what they hold; how dark one is says how many packages share it. */
const SHARES = [[1, "share1", "1 package"], [2, "share2", "2 to 9"], [10, "share3", "10 to 99"], [100, "share4", "100 and more"]];
const shareColor = (layer) => (images.length > 1 && sharedBy(layer) === packages.length ? "share5" : SHARES.filter(([least]) => sharedBy(layer) >= least).pop()?.[1] || "share1");
const packages = targets.filter((target) => target.images.length);
const shareLegend = () => legend([...SHARES.filter(([least]) => least === 1 || least <= packages.length).map(([, name, text]) => [name, text]), ["share5", "all"]]);

function treemap(focus, height, unsharedToo) {
  const value = (layer) => layer.size * (unsharedToo ? Math.max(1, layer.images.length) : 1);
  const groups = new Map();
  for (const layer of layers) {
    if (!groups.has(layer.holds)) groups.set(layer.holds, []);
    groups.get(layer.holds).push(layer);
  }
  const data = { children: [...groups].map(([name, rows]) => ({ name, children: rows.map((layer) => ({ layer })) })) };
  const root = d3.hierarchy(data).sum((node) => (node.layer ? Math.max(1, value(node.layer)) : 0)).sort((a, b) => b.value - a.value);
  let laid = 0;
  const lay = (width) => {
    if (laid === width) return;
    laid = width;
    d3.treemap().size([width, height]).paddingOuter(1).paddingTop((node) => (node.depth === 1 ? 20 : 1)).paddingInner((node) => (node.depth === 0 ? 6 : 1)).round(false)(root);
  };
  const canvas = drawing({
    height,
    label: "Layers by size; the table below lists them",
    draw(context, view) {
      lay(view.width);
      const colors = {};
      const paint = (name) => (colors[name] ||= color(name));
      context.translate(view.x, view.y);
      context.scale(view.scale, view.scale);
      const size = 12 / view.scale;
      context.font = `${size}px system-ui, 'DejaVu Sans', sans-serif`;
      context.charWidth = 6.8 / view.scale;
      context.textBaseline = "middle";
      for (const group of root.children || []) {
        context.fillStyle = paint("soft");
        const text = `${group.data.name}, ${bytes(group.value)}`;
        if (view.scale < 1.5) context.fillText(clipped(context, text, group.x1 - group.x0 - 6), group.x0 + 4, group.y0 + 11);
        for (const leaf of group.children) {
          const [wide, tall] = [leaf.x1 - leaf.x0, leaf.y1 - leaf.y0];
          const { layer } = leaf.data;
          const name = shareColor(layer);
          context.fillStyle = paint(name);
          context.fillRect(leaf.x0, leaf.y0, wide, tall);
          if (layer === view.hover || layer === focus) {
            context.strokeStyle = paint("critical");
            context.lineWidth = 3 / view.scale;
            context.strokeRect(leaf.x0, leaf.y0, wide, tall);
          }
          if (tall * view.scale > 16 && wide * view.scale > 40) {
            const dark = document.documentElement.dataset.theme === "dark";
            context.fillStyle = (dark ? name === "share5" || name === "share4" : name < "share3") ? "#14171b" : "#ffffff";
            context.fillText(clipped(context, layer.title, wide - 8 / view.scale), leaf.x0 + 4 / view.scale, leaf.y0 + 10 / view.scale);
            if (tall * view.scale > 32) context.fillText(clipped(context, bytes(layer.size), wide - 8 / view.scale), leaf.x0 + 4 / view.scale, leaf.y0 + 25 / view.scale);
          }
        }
      }
    },
    at(x, y) {
      for (const group of root.children || []) if (x >= group.x0 && x < group.x1 && y >= group.y0 && y < group.y1) for (const leaf of group.children) if (x >= leaf.x0 && x < leaf.x1 && y >= leaf.y0 && y < leaf.y1) return leaf.data.layer;
      return null;
    },
    pick: (layer) => { location.hash = toLayer(layer); },
  });
  canvas.view.least = 1;
  canvas.view.most = 60;
  canvas.tip = (layer) => `${layer.title}\nof ${layerOf(layer).label}\n${bytes(layer.size)}, ${layer.holds}\nin ${counted(sharedBy(layer), "package")} of ${packages.length}`;
  canvas.redraw();
  return canvas;
}
