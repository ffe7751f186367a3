// The agents as a graph: managers and their workers, swarms, and the messages between them.
import { html, useEffect, useMemo, useRef } from "./html.js";
import { layout, Graph as Layout } from "./vendor/dagre.js";
import { number, plural } from "./format.js";
import { agentPath } from "./parts.js";
import { health } from "./views/agents.js";

const NODE = { width: 172, height: 62 };
const GROUP = { width: 128, height: 34 };
const MOVE_MS = 900;

/** Where everything is. It depends on the names and edges alone, so that numbers move nothing. */
function placed(agents, groups) {
  const graph = new Layout();
  graph.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 70, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const names = new Set(agents.map((it) => it.name));
  for (const it of agents) graph.setNode(it.name, { ...NODE });
  for (const it of groups) graph.setNode(`swarm ${it.name}`, { ...GROUP });
  for (const it of agents) {
    for (const worker of it.workers.filter((name) => names.has(name))) graph.setEdge(it.name, worker);
    if (groups.some((group) => group.name === it.swarm)) graph.setEdge(`swarm ${it.swarm}`, it.name);
  }
  layout(graph);
  const nodes = new Map(graph.nodes().map((name) => [name, graph.node(name)]));
  const edges = graph.edges().map(({ v, w }) => ({ from: v, to: w, path: curve(graph.edge(v, w).points) }));
  const { width, height } = graph.graph();
  return { nodes, edges, width, height };
}

function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first.x},${first.y}`;
  for (let at = 0; at < rest.length - 1; at += 1) {
    const middle = { x: (rest[at].x + rest[at + 1].x) / 2, y: (rest[at].y + rest[at + 1].y) / 2 };
    const end = at === rest.length - 2 ? rest[at + 1] : middle;
    path += `Q${rest[at].x},${rest[at].y} ${end.x},${end.y}`;
  }
  return rest.length === 1 ? `${path}L${rest[0].x},${rest[0].y}` : path;
}

export function Graph({ agents, groups, moves }) {
  const shape = JSON.stringify([agents.map((it) => [it.name, it.workers, it.swarm]), groups.map((it) => it.name)]);
  const { nodes, edges, width, height } = useMemo(() => placed(agents, groups), [shape]);
  const paths = (move) => pathOf(edges, agents, move);
  return html`<div class="graph card"><svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="group" aria-label="Agents and who calls whom">
    <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="arrow" /></marker></defs>
    ${edges.map((it) => html`<path key=${`${it.from} ${it.to}`} d=${it.path} class=${it.from.startsWith("swarm ") ? "edge swarm" : "edge"} marker-end=${it.from.startsWith("swarm ") ? null : "url(#arrow)"} />`)}
    ${groups.map((it) => html`<${Group} key=${it.name} group=${it} at=${nodes.get(`swarm ${it.name}`)} />`)}
    ${agents.map((it) => html`<${Agent} key=${it.name} agent=${it} at=${nodes.get(it.name)} />`)}
    <g aria-hidden="true">${moves.map((it) => html`<${Move} key=${it.id} move=${it} paths=${paths(it)} />`)}</g>
  </svg></div>`;
}

function Agent({ agent, at }) {
  const [tone, , state] = health(agent);
  const { width, height } = NODE;
  const busy = [
    agent.running && `${number(agent.running)} running`,
    agent.queued && `${number(agent.queued)} queued`,
    agent.waiting && `${number(agent.waiting)} waiting`,
  ].filter(Boolean);
  const second = busy.length ? busy.slice(0, 2).join(" · ") : state;
  const label = `${agent.name}: ${state}, ${plural(agent.processes, "process", "processes")}${busy.length ? `, ${busy.join(", ")}` : ""}${agent.schedules ? `, ${plural(agent.schedules, "schedule")}` : ""}`;
  return html`<a href=${agentPath(agent.name)} aria-label=${label} class=${`node ${tone}`} transform=${`translate(${at.x - width / 2},${at.y - height / 2})`}>
    <title>${label}</title>
    <rect width=${width} height=${height} rx="9" class=${agent.running ? "box working" : "box"} />
    <circle cx="16" cy="22" r="4.5" class="light" />
    <text x="28" y="26" class="node-name">${agent.name.length > 13 ? `${agent.name.slice(0, 12)}…` : agent.name}</text>
    <text x=${width - 12} y="26" class="node-side" text-anchor="end">${agent.schedules ? "◷ " : ""}×${agent.processes}</text>
    <text x="16" y="47" class="node-state">${second}</text>
  </a>`;
}

const Group = ({ group, at }) => html`<g class="group" transform=${`translate(${at.x - GROUP.width / 2},${at.y - GROUP.height / 2})`}>
  <rect width=${GROUP.width} height=${GROUP.height} rx="17" /><text x=${GROUP.width / 2} y="21" text-anchor="middle">swarm ${group.name}</text></g>`;

/** The ways of a message, along an edge or against it; a note's way leads through the swarm. */
function pathOf(edges, agents, { from, to, kind }) {
  const edge = (a, b) => edges.find((it) => it.from === a && it.to === b)?.path;
  if (kind === "note") {
    const swarm = `swarm ${agents.find((it) => it.name === to)?.swarm}`;
    return [[edge(swarm, from), true], [edge(swarm, to), false]].filter(([path]) => path);
  }
  const forward = edge(from, to);
  return [[forward ?? edge(to, from), !forward]].filter(([path]) => path);
}

function Move({ move, paths }) {
  const dot = useRef(null);
  useEffect(() => {
    if (!dot.current || matchMedia("(prefers-reduced-motion: reduce)").matches) return undefined;
    let ended = false;
    async function run() {
      for (const [path, backwards] of paths) {
        if (ended) return;
        dot.current.style.offsetPath = `path("${path}")`;
        dot.current.style.opacity = "1";
        const ends = [{ offsetDistance: "0%" }, { offsetDistance: "100%" }];
        await dot.current.animate(backwards ? ends.reverse() : ends, { duration: MOVE_MS, easing: "ease-in-out" }).finished;
      }
      if (!ended) dot.current.style.opacity = "0";
    }
    run().catch(() => {});
    return () => {
      ended = true;
    };
  }, []);
  return paths.length ? html`<circle ref=${dot} r="5" class=${`move ${move.kind}`} />` : null;
}
