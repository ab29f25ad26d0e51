// Every front and server of the balancer.
import { h, set, show } from './dom.js';
import { get } from './api.js';
import { count, seconds, stamp, ago } from './format.js';
import { badge } from './parts.js';
import { table, text } from './table.js';

const EVERY = 2000;

export function balancerPage() {
  const filter = h('input', { type: 'search', placeholder: 'Filter by name, address or state', 'aria-label': 'Filter fronts and servers', oninput: draw });
  const lead = h('p', { class: 'lead' }, 'Reading the statistics…');
  const error = h('p', { class: 'error', hidden: true });
  const shown = (of, format) => () => text((x) => format(of(x)));
  const number = (name, of) => ({ name, of, right: true, cell: shown(of, count) });
  const fronts = table('Fronts', [
    { name: 'Front', of: (x) => x.name, head: true },
    { name: 'Pod', of: (x) => x.pod, cell: podLink },
    { name: 'Listens on', of: (x) => x.listen },
    number('Requests', (x) => x.requests), number('Errors', (x) => x.errors),
    number('In flight', (x) => x.in_flight), number('Waiting', (x) => x.waiting),
    ...['p50', 'p95', 'p99'].map((q) => ({ name: q, right: true, of: (x) => x.latency?.[q], cell: shown((x) => x.latency?.[q], seconds) })),
    number('Servers', (x) => x.servers.length),
  ], (x) => x.name);
  const servers = table('Servers', [
    { name: 'Server', of: (x) => x.name, head: true },
    { name: 'Front', of: (x) => x.front },
    { name: 'Pod', of: (x) => x.pod, cell: podLink },
    { name: 'Address', of: (x) => x.addr },
    { name: 'State', of: stateOf, cell: stateCell },
    number('Weight', (x) => x.weight), number('In flight', (x) => x.in_flight),
    number('Requests', (x) => x.requests), number('Errors', (x) => x.errors),
  ], (x) => `${x.front}/${x.name}`, { sort: 1 });
  const none = h('p', { class: 'empty', hidden: true }, 'No front matches.');
  const el = h('div', { class: 'page' },
    h('div', { class: 'title' }, h('div', {}, h('h1', {}, 'Balancer'), lead), h('div', { class: 'actions' }, filter)), error, none,
    h('h2', {}, 'Fronts'), fronts.el, h('h2', {}, 'Servers'), servers.el);
  let data = null;
  const stop = new AbortController();
  async function read() {
    try {
      data = await get('/v1/balancer', stop.signal);
      draw();
    } catch (err) {
      if (err.name !== 'AbortError' && err.status) set(error, err.message);
      show(error, Boolean(err.status));
    }
  }
  function draw() {
    if (!data) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (...parts) => words.every((w) => parts.some((p) => p.toLowerCase().includes(w)));
    const all = data.fronts.flatMap((f) => f.servers.map((x) => ({ ...x, front: f.name, pod: f.pod })));
    const left = all.filter((x) => fits(x.name, x.front, x.pod, x.addr, stateOf(x)));
    const frontsLeft = data.fronts.filter((f) => fits(f.name, f.pod, f.listen) || left.some((x) => x.front === f.name));
    fronts.update(frontsLeft);
    servers.update(left);
    show(none, frontsLeft.length === 0);
    set(none, data.fronts.length === 0 ? 'No pod has a front yet.' : 'Nothing matches the filter.');
    set(lead, data.at ? `Observed at ${stamp(data.at)}` : 'Not observed yet');
    lead.title = ago(data.at);
    set(error, data.error ?? '');
    show(error, Boolean(data.error));
  }
  read();
  const timer = setInterval(() => !document.hidden && read(), EVERY);
  return { el, update() {}, end() { clearInterval(timer); stop.abort(); } };
}

function podLink() {
  const a = h('a', {});
  return { el: a, update(x) { set(a, x.pod); if (a.hash !== `#/pods/${x.pod}`) a.href = `#/pods/${x.pod}`; } };
}

const stateOf = (x) => (x.state === 'drain' ? 'draining' : x.up ? 'ready' : 'down');

function stateCell() {
  const b = badge();
  return { el: b.el, update: (x) => b.update(stateOf(x), { ready: 'online', draining: 'draining', down: 'failed' }[stateOf(x)]) };
}
