// The log of a pod's decisions, each step unfolded.
import { h, keyed, set, show } from './dom.js';
import { get, podPath } from './api.js';
import { state } from './store.js';
import { figure, percent, plural, seconds, stamp } from './format.js';

const KEPT = 300;
const SHOWN = 100;

export function decisionLog(pod) {
  const ticks = new Map(); // by seq and time: seq begins anew with the server
  const every = h('input', { type: 'checkbox', id: 'every-tick', onchange: () => { draw(); read(KEPT); } });
  const list = h('ol', { class: 'decisions' });
  const none = h('p', { class: 'sub' }, 'No decision has changed the number of nodes yet.');
  const el = h('section', { class: 'card panel', 'aria-label': 'Decisions' },
    h('div', { class: 'card-head' }, h('h2', {}, 'Decisions'), h('div', { class: 'check' }, every, h('label', { for: 'every-tick' }, 'Also those that change nothing'))), list, none);
  // The stream tells of ticks in brief; what is shown of them is read.
  const onTick = (e) => { if (e.detail.pod === pod && (every.checked || e.detail.tick.error)) soon(); };
  document.addEventListener('tick', onTick);
  let waiting = 0;
  function soon() {
    waiting ||= setTimeout(() => { waiting = 0; read(20); }, 1000);
  }
  async function read(limit) {
    try {
      const { items } = await get(`${podPath(pod, 'decisions')}?limit=${limit}`);
      for (const t of items.reverse()) keep(t);
      draw();
    } catch (err) {
      set(none, err.message);
    }
  }
  read(100);

  function keep(t) {
    ticks.set(t.at, t);
    if (ticks.size > KEPT) {
      for (const [at, old] of ticks) {
        if (old.before === old.want) {
          ticks.delete(at);
          break;
        }
      }
    }
  }
  function draw() {
    const all = new Map(ticks);
    for (const e of state.events) if (e.pod === pod && e.tick) all.set(e.tick.at, e.tick);
    const items = [...all.values()].filter((t) => every.checked || t.before !== t.want || t.error).sort((a, b) => (a.at < b.at ? 1 : -1)).slice(0, SHOWN);
    keyed(list, items, (t) => t.at, entry);
    show(none, items.length === 0);
  }
  return { el, update: draw, end() { document.removeEventListener('tick', onTick); clearTimeout(waiting); } };
}

function entry(t) {
  const change = t.want - t.before;
  const details = h('details', {}, h('summary', {},
    h('time', { datetime: t.at }, stamp(t.at)),
    h('span', { class: `change ${change > 0 ? 'up' : change < 0 ? 'down' : 'same'}` }, change === 0 ? `${t.want}` : `${change > 0 ? '▲' : '▼'} ${t.before} → ${t.want}`),
    h('span', { class: 'why' }, t.reason)));
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) details.append(unfold(t));
  });
  return { el: h('li', {}, details), update() {} };
}

function unfold(t) {
  const o = t.observation;
  const value = (x, metric) => (x === undefined || x === null ? '–' : /cpu|memory/.test(metric ?? '') ? percent(x) : /p\d\d|boot/.test(metric ?? '') ? seconds(x) : figure(x));
  const seen = [['Online', o.online], ['Starting', o.starting], ['Draining', o.draining], ['Bounds', `${o.min} to ${o.max}`], ['CPU', percent(o.cpu)], ['Memory', percent(o.memory)],
    ['In flight', figure(o.in_flight)], ['Waiting', figure(o.waiting)], ['Requests/s', figure(o.rate)], ['Errors/s', figure(o.errors)], ['p50', seconds(o.p50)], ['p95', seconds(o.p95)], ['p99', seconds(o.p99)], ['Boot', seconds(o.boot)]];
  return h('div', { class: 'unfolded' },
    t.error ? h('p', { class: 'error' }, t.error) : '',
    h('h3', {}, plural(t.decision.steps.length, 'step')),
    h('ol', { class: 'steps' }, ...t.decision.steps.map((s) => h('li', {},
      h('span', { class: 'rule' }, s.rule), h('span', { class: 'step-change' }, `${s.from} → ${s.to}`),
      h('span', {}, s.text, s.metric ? h('small', {}, ` (${s.metric} ${value(s.value, s.metric)}${s.bound === undefined ? '' : `, held against ${value(s.bound, s.metric)}${s.upper === undefined ? '' : ` and ${value(s.upper, s.metric)}`}`})`) : '')))),
    h('h3', {}, 'What was seen'),
    h('dl', { class: 'seen' }, ...seen.map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, String(v))))));
}
