// The page of one pod.
import { h, set, show, toast } from './dom.js';
import { get, mayChange, podPath, request } from './api.js';
import { keepSamples, loadSamples, reread, state } from './store.js';
import { ago, bytes, clock, count, digest, figure, percent, seconds } from './format.js';
import { badge, nodeBar, podState, problems, stat } from './parts.js';
import { Charts } from './charts.js';
import { confirm } from './dialog.js';
import { decisionLog } from './decisions.js';
import { elasticityPanel } from './elasticity.js';
import { logPanel } from './logs.js';
import { over, rolloutPanel } from './rollout.js';
import { changePod } from './podform.js';
import { table, text } from './table.js';

const RANGES = [['1 min', 60], ['5 min', 300], ['15 min', 900], ['1 h', 3600]];

export function podPage(name) {
  const gone = h('div', { class: 'empty', hidden: true }, h('h1', {}, `There is no pod ${name}`), h('p', {}, h('a', { href: '#/' }, 'Back to the overview')));
  const body = h('div', {});
  const el = h('div', { class: 'page' }, gone, body);
  let view = null;
  return {
    el,
    update(changed) {
      const p = state.pods.get(name);
      show(gone, !p);
      show(body, Boolean(p));
      if (!p) {
        view?.end();
        view = null;
        body.replaceChildren();
        return;
      }
      if (!view) {
        view = podView(name);
        body.replaceChildren(view.el);
        changed = new Set(['all']);
      }
      view.update(changed);
    },
    end() { view?.end(); },
  };
}

function podView(name) {
  const pod = () => state.pods.get(name);
  const stop = new AbortController();
  const letGo = keepSamples(name);
  const mark = badge();
  const wrong = problems(name);
  const nodes = nodeBar();
  const reason = h('p', { class: 'reason' });
  const figures = { flight: stat('In flight'), rate: stat('Requests/s'), errors: stat('Errors/s'), cpu: stat('CPU'), memory: stat('Memory'), p50: stat('p50'), p95: stat('p95'), p99: stat('p99'), cut: stat('Cut by drains') };
  const fronts = h('p', { class: 'lead' });

  // Controls, as the API allows them.
  const act = (label, props, f) => h('button', { type: 'button', ...props, onclick: (e) => run(e.currentTarget, f) }, label);
  const buttons = {
    register: act('Register', {}, async () => {
      const n = await request('POST', podPath(name, 'nodes'));
      toast(`Node ${n.name} was registered; launch it to start it.`);
    }),
    launch: act('Launch', {}, async () => {
      const n = await request('POST', podPath(name, 'launch'));
      toast(`Node ${n.name} is starting.`);
    }),
    pause: act('Pause', {}, async () => {
      if (!await confirm({ title: `Pause ${name}?`, text: 'Its nodes leave the balancer: requests in flight are finished, new ones get 503 until it is resumed.', verb: 'Pause' })) return;
      await request('POST', podPath(name, 'pause'));
      toast(`Pod ${name} is paused.`);
    }),
    resume: act('Resume', { class: 'primary' }, async () => {
      await request('POST', podPath(name, 'resume'));
      toast(`Pod ${name} takes requests again.`);
    }),
    settings: act('Settings', {}, () => changePod(pod())),
    remove: act('Remove', { class: 'danger' }, async () => {
      if (!await confirm({ title: `Remove ${name}?`, text: 'Its nodes are drained and removed, and its settings are forgotten. This cannot be undone.', verb: 'Remove', danger: name })) return;
      await request('DELETE', podPath(name));
      toast(`Pod ${name} is being removed.`);
    }),
  };
  const controls = h('div', { class: 'actions', role: 'group', 'aria-label': `Controls of ${name}` }, ...Object.values(buttons));
  async function run(button, f) {
    button.disabled = true;
    try {
      await f();
      reread(name);
      readNodes();
    } catch (err) {
      if (err.name !== 'AbortError') toast(err.message, 'error');
    }
    button.disabled = false;
  }

  // Charts.
  const zoomed = h('button', { type: 'button', hidden: true, onclick: () => charts.range(range) }, 'Back to live');
  const charts = new Charts((yes) => show(zoomed, yes));
  let range = 300;
  const ranges = RANGES.map(([label, s]) => h('button', { type: 'button', 'aria-pressed': String(s === range), onclick: () => choose(s) }, label));
  function choose(s) {
    range = s;
    ranges.forEach((b, i) => b.setAttribute('aria-pressed', String(RANGES[i][1] === s)));
    charts.range(s);
    loadSamples(name, `${s}s`, stop.signal).catch(() => {});
  }
  const marks = () => state.events.filter((e) => e.pod === name && e.type === 'pod.scaled' && e.tick)
    .map((e) => ({ t: Date.parse(e.tick.at) / 1000, from: e.tick.before, to: e.tick.want, up: e.tick.want > e.tick.before, text: e.tick.reason }));

  const elasticity = elasticityPanel(charts, pod, () => reread(name));
  const logs = logPanel();
  const log = decisionLog(name);
  const rollout = rolloutPanel(name, pod, () => reread(name));

  // Nodes.
  const nodeTable = table(`Nodes of ${name}`, [
    { name: 'Node', of: (x) => x.name, head: true },
    { name: 'State', of: (x) => x.state, cell: () => { const b = badge(); return { el: b.el, update: (x) => b.update(x.state, x.state) }; } },
    { name: 'Age', right: true, of: (x) => -Date.parse(x.created_at), cell: () => text((x) => ago(x.created_at).replace(' ago', '')) },
    { name: 'Host', of: (x) => x.host || '–' },
    { name: 'Revision', of: (x) => x.revision, cell: () => text((x) => [x.revision || '–', digest(x.digest)].filter(Boolean).join(' · ')) },
    { name: 'In flight', right: true, of: (x) => x.in_flight, cell: () => text((x) => figure(x.in_flight)) },
    { name: 'Requests', right: true, of: (x) => x.requests, cell: () => text((x) => count(x.requests)) },
    { name: 'CPU', right: true, of: (x) => x.cpu, cell: () => text((x) => percent(x.cpu)) },
    { name: 'Memory', right: true, of: (x) => x.memory, cell: () => text((x) => bytes(x.memory)) },
    { name: 'Reason', of: (x) => (x.drain_by ? `${x.reason}; at most until ${clock(x.drain_by)}${x.cut ? `, ${x.cut} cut` : ''}` : x.reason), wide: true },
    { name: 'Actions', hidden: true, cell: nodeActions },
  ], (x) => x.name);
  const noNodes = h('p', { class: 'sub', hidden: true });
  function nodeActions() {
    let node = '';
    const show_ = h('button', { type: 'button', class: 'small', onclick: () => logs.follow(name, node) }, 'Log');
    const remove = h('button', { type: 'button', class: 'small danger', onclick: (e) => run(e.currentTarget, async () => {
      const gone = node;
      if (!await confirm({ title: `Remove node ${gone}?`, text: 'It finishes the requests that it has, and is then stopped and removed. This cannot be undone.', verb: 'Remove node' })) return;
      await request('DELETE', podPath(name, 'nodes', gone));
      toast(`Node ${gone} is leaving.`);
    }) }, 'Remove');
    return {
      el: h('div', { class: 'row-actions' }, show_, remove),
      update(x) {
        node = x.name;
        show_.setAttribute('aria-label', `Log of ${x.name}`);
        remove.setAttribute('aria-label', `Remove node ${x.name}`);
        show(remove, mayChange() && !pod()?.status.elasticity.enabled);
      },
    };
  }
  let reading = false;
  let again = false;
  async function readNodes() {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const [list, balancer] = await Promise.all([get(podPath(name, 'nodes'), stop.signal), get(`/v1/balancer?pod=${encodeURIComponent(name)}`, stop.signal)]);
      const taken = new Map();
      for (const f of balancer.fronts) for (const x of f.servers) taken.set(x.name, (taken.get(x.name) ?? 0) + x.requests);
      nodeTable.update(list.items.map((x) => ({ ...x, requests: taken.get(x.name) ?? null })));
      show(noNodes, list.items.length === 0);
      set(noNodes, pod()?.status.elasticity.enabled ? 'It has no nodes now.' : 'It has no nodes. Register one, then launch it; or let the pod grow by itself.');
    } catch {
      // a pod that is gone, or a server that is away: both are told elsewhere
    }
    reading = false;
    if (again && !stop.signal.aborted) {
      again = false;
      setTimeout(readNodes, 200);
    }
  }
  const timer = setInterval(() => {
    if (document.hidden) return;
    readNodes();
    if (!over(pod()?.status.rollout)) reread(name);
  }, 2000);

  const settings = h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Settings as JSON' });
  const el = h('div', {},
    wrong.el,
    h('div', { class: 'title' }, h('div', {}, h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Pods')), h('div', { class: 'name' }, h('h1', {}, name), mark.el), fronts), controls),
    h('section', { class: 'card summary', 'aria-label': 'Now' }, nodes.el, h('dl', { class: 'stats' }, ...Object.values(figures).map((x) => x.el)), reason),
    h('div', { class: 'title' }, h('h2', {}, 'Over time'), h('div', { class: 'actions' }, zoomed, h('div', { class: 'segments', role: 'group', 'aria-label': 'Time range' }, ...ranges))),
    charts.el,
    h('p', { class: 'help' }, 'Drag across a chart to zoom, double-click to go back. ▲ and ▼ are decisions: point at one to read it; all are in the list below.'),
    elasticity.el, rollout.el,
    h('section', { class: 'card panel', 'aria-label': 'Nodes' }, h('h2', {}, 'Nodes'), nodeTable.el, noNodes),
    logs.el, log.el,
    h('details', { class: 'card panel' }, h('summary', {}, 'Settings'), settings));

  readNodes();
  loadSamples(name, '300s', stop.signal).catch(() => {});
  let drawn = 0;
  function update(changed) {
    const p = pod();
    const all = changed.has('all');
    if (changed.has(`events:${name}`) || changed.has('again')) readNodes();
    if (changed.has('again') && !all) loadSamples(name, `${range}s`, stop.signal).catch(() => {});
    if (!all && !changed.has(`pod:${name}`) && !changed.has(`events:${name}`)) return;
    const st = p.status;
    const x = st.sample;
    mark.update(...podState(p));
    wrong.update(st.problems);
    nodes.update(p);
    set(fronts, (p.fronts ?? []).map((f) => `${f.name} on ${f.listen}`).join(', ') || 'no front');
    figures.flight.update(figure(x?.in_flight));
    figures.rate.update(figure(x?.rate));
    figures.errors.update(figure(x?.errors), x?.errors > 0);
    figures.cpu.update(percent(x?.cpu), x?.cpu > 0.95);
    figures.memory.update(percent(x?.memory));
    for (const q of ['p50', 'p95', 'p99']) figures[q].update(seconds(x?.[q]));
    show(figures.cut.el, st.cut > 0);
    figures.cut.update(count(st.cut), true);
    set(reason, st.reason || 'No decision yet');
    const e = st.elasticity;
    show(controls, mayChange() && st.state !== 'deleting');
    show(buttons.pause, st.state === 'active');
    show(buttons.resume, st.state === 'paused');
    show(buttons.register, !e.enabled);
    show(buttons.launch, !e.enabled && st.nodes.new > 0);
    elasticity.update();
    rollout.update();
    if (all || Date.now() - drawn > 900 || changed.has(`events:${name}`)) {
      drawn = Date.now();
      charts.update(state.samples.get(name) ?? [], marks());
      log.update();
    }
    const { status, ...rest } = p;
    set(settings, JSON.stringify(rest, null, 2));
  }
  return { el, update, end() { clearInterval(timer); stop.abort(); letGo(); charts.end(); logs.end(); log.end(); } };
}
