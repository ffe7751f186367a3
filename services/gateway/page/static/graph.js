// The agents as a graph: managers and their workers, swarms, and the messages between them.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { graphlib, layout } from "./vendor/dagre.js";
import { number, plural } from "./format.js";
import { agentPath } from "./parts.js";
import { health } from "./views/agents.js";

const { alg, Graph: Layout } = graphlib;
const HEIGHT = 62;
const NARROW_PX = 440;
const WIDE = { node: 160, group: 128, apart: 52 };
const NARROW = { node: 132, group: 118, apart: 24 };
const NODE_GAP = 16;
const APART = 34;
const MOVE_MS = 900;

/** Where everything is. It depends on the names, the edges and the width alone, so that numbers move
 *  nothing. Agents that have nothing to do with each other are laid out apart, side by side. */
function placed(agents, groups, room) {
  const size = room < NARROW_PX ? NARROW : WIDE;
  const graph = new Layout();
  const names = new Set(agents.map((it) => it.name));
  for (const it of agents) graph.setNode(it.name, { width: size.node, height: HEIGHT });
  for (const it of groups) graph.setNode(`swarm ${it.name}`, { width: size.group, height: 34 });
  for (const it of agents) {
    for (const worker of it.workers.filter((name) => names.has(name))) graph.setEdge(it.name, worker, {});
    if (groups.some((group) => group.name === it.swarm)) graph.setEdge(`swarm ${it.swarm}`, it.name, {});
  }
  const parts = alg.components(graph).map((members) => part(graph, members, size.apart));
  parts.sort((a, b) => b.height - a.height || b.width - a.width);
  const nodes = new Map();
  const edges = [];
  let [x, y, bottom, width] = [0, 0, 0, 0];
  for (const it of parts) {
    if (x > 0 && x + it.width > room) [x, y] = [0, bottom];
    for (const [name, node] of it.nodes) nodes.set(name, { ...node, x: node.x + x, y: node.y + y });
    for (const { from, to, points } of it.edges) edges.push({ from, to, path: curve(points.map((at) => ({ x: at.x + x, y: at.y + y }))) });
    x += it.width + APART;
    bottom = Math.max(bottom, y + it.height + NODE_GAP);
    width = Math.max(width, x - APART);
  }
  return { nodes, edges, width, height: bottom };
}

/** Some nodes with their edges, laid out from left to right. */
function part(graph, members, ranksep) {
  const own = new Layout();
  own.setGraph({ rankdir: "LR", nodesep: NODE_GAP, ranksep, marginx: 3, marginy: 3 });
  for (const name of members) own.setNode(name, graph.node(name));
  for (const { v, w } of graph.edges()) if (own.hasNode(v)) own.setEdge(v, w, {});
  layout(own);
  const edges = own.edges().map(({ v, w }) => {
    const [begin, end] = [own.node(v), own.node(w)];
    const middle = own.edge(v, w).points.slice(1, -1);
    const points = [{ x: begin.x + begin.width / 2, y: begin.y }, ...(middle.length > 1 ? middle : []), { x: end.x - end.width / 2, y: end.y }];
    return { from: v, to: w, points };
  });
  const { width, height } = own.graph();
  return { nodes: members.map((name) => [name, own.node(name)]), edges, width, height };
}

/** Leaves and enters horizontally. */
function curve(points) {
  let path = `M${points[0].x},${points[0].y}`;
  for (const [at, to] of points.slice(1).entries()) {
    const from = points[at];
    const middle = (from.x + to.x) / 2;
    path += `C${middle},${from.y} ${middle},${to.y} ${to.x},${to.y}`;
  }
  return path;
}

export function Graph({ agents, groups, moves }) {
  const [room, place] = useRoom();
  const shape = JSON.stringify([agents.map((it) => [it.name, it.workers, it.swarm]), groups.map((it) => it.name)]);
  const { nodes, edges, width, height } = useMemo(() => placed(agents, groups, room), [shape, room]);
  const paths = (move) => pathOf(edges, agents, move);
  return html`<div class="graph card" ref=${place}><svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="group" aria-label="Agents and who calls whom">
    <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="arrow" /></marker></defs>
    ${edges.map((it) => html`<path key=${`${it.from} ${it.to}`} d=${it.path} class=${it.from.startsWith("swarm ") ? "edge swarm" : "edge"} marker-end=${it.from.startsWith("swarm ") ? null : "url(#arrow)"} />`)}
    ${groups.map((it) => html`<${Group} key=${it.name} group=${it} at=${nodes.get(`swarm ${it.name}`)} />`)}
    ${agents.map((it) => html`<${Agent} key=${it.name} agent=${it} at=${nodes.get(it.name)} />`)}
    <g aria-hidden="true">${moves.map((it) => html`<${Move} key=${it.id} move=${it} paths=${paths(it)} />`)}</g>
  </svg></div>`;
}

function useRoom() {
  const place = useRef(null);
  const [room, setRoom] = useState(1200);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setRoom(Math.round(entry.contentRect.width)));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return [room, place];
}

function Agent({ agent, at }) {
  const [tone, , state] = health(agent);
  const { width, height } = at;
  const narrow = width === NARROW.node; // then the processes stand below the name
  const letters = Math.floor((width - (narrow ? 40 : 64)) / 8.8);
  const busy = [
    agent.running && `${number(agent.running)} running`,
    agent.queued && `${number(agent.queued)} queued`,
    agent.waiting && `${number(agent.waiting)} waiting`,
    agent.parked && `${number(agent.parked)} parked`,
  ].filter(Boolean);
  const second = busy.length ? busy.slice(0, narrow ? 1 : 2).join(" · ") : state;
  const side = `${agent.schedules ? "◷ " : ""}×${agent.processes ?? "?"}`;
  // It begins with what is to be seen, as people who speak to their browser need it.
  const label = `${agent.name} ${side} ${second}; ${[state, plural(agent.processes, "process", "processes"), ...busy, agent.schedules && plural(agent.schedules, "schedule")].filter(Boolean).join(", ")}`;
  return html`<a href=${agentPath(agent.name)} aria-label=${label} class=${`node ${tone}`} transform=${`translate(${at.x - width / 2},${at.y - height / 2})`}>
    <rect width=${width} height=${height} rx="9" class=${agent.running ? "box working" : "box"} />
    <circle cx="16" cy="22" r="4.5" class="light" />
    <text x="28" y="26" class="node-name">${agent.name.length > letters ? `${agent.name.slice(0, letters - 1)}…` : agent.name}</text>
    <text x=${width - 12} y=${narrow ? 47 : 26} class="node-side" text-anchor="end">${` ${side} `}</text>
    <text x="16" y="47" class="node-state">${second}</text>
  </a>`;
}

const Group = ({ group, at }) => html`<g class="group" transform=${`translate(${at.x - at.width / 2},${at.y - at.height / 2})`}>
  <rect width=${at.width} height=${at.height} rx="17" /><text x=${at.width / 2} y="21" text-anchor="middle">swarm ${group.name}</text></g>`;

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
