// One measure of the last hour, as bars.
import { html, useEffect, useRef } from "./html.js";
import uPlot from "./vendor/uplot.js";
import { time } from "./format.js";

const HEIGHT_PX = 110;
const EDGE_S = 45;

/** The canvas needs colours as they are in the present theme. */
function colour(element, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function options(element, format, failed) {
  const [line, bad, text, grid] = ["--model", "--bad", "--dim", "--line"].map((it) => colour(element, it));
  const bars = (stroke) => ({ fill: stroke, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 12, 1], radius: 0.2 }) });
  const axis = { stroke: text, font: "11px system-ui", grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  return {
    width: element.clientWidth || 300,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (_, from, to) => [from - EDGE_S, to + EDGE_S] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 22, space: 60, values: "{HH}:{mm}" },
      { ...axis, size: 48, space: 28, values: (_, values) => values.map((it) => (format(0).startsWith("$") || Number.isInteger(it) ? format(it) : "")) },
    ],
    series: [{}, bars(line), ...(failed ? [bars(bad)] : [])],
  };
}

export function Chart({ minutes, field, title, format }) {
  const place = useRef(null);
  const plot = useRef(null);
  const failed = field === "tasks";
  const data = [minutes.map((it) => time(it.at) / 1000), minutes.map((it) => it[field] ?? null)];
  if (failed) data.push(minutes.map((it) => it.failed));
  useEffect(() => {
    const element = place.current;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, format, failed), data, element);
    };
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    const system = matchMedia("(prefers-color-scheme: dark)");
    draw();
    observer.observe(element);
    addEventListener("themechange", draw);
    system.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      removeEventListener("themechange", draw);
      system.removeEventListener("change", draw);
      plot.current.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [minutes]);
  const most = Math.max(0, ...minutes.map((it) => it[field] ?? 0));
  return html`<div class="plot" ref=${place} role="img" aria-label=${`${title} in each of the last 60 minutes; at most ${format(most)}`}></div>`;
}
