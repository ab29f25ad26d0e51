// The first page: what is wrong, the pods, the hosts.
import { attr, h, keyed, set, show, toast } from './dom.js';
import { mayChange, request } from './api.js';
import { loadSpark, refresh, refreshRest, state } from './store.js';
import { ago, bytes, figure, percent, plural, seconds } from './format.js';
import { badge, meter, nodeBar, podState, problems, sparkline, stat } from './parts.js';
import { confirm } from './dialog.js';
import { newPod } from './podform.js';
import { changeHost, hostPath, newHost, removeHost } from './hostform.js';

export function overview() {
  const wrong = problems();
  const summary = h('p', { class: 'lead' });
  const filter = h('input', { type: 'search', placeholder: 'Filter pods', 'aria-label': 'Filter pods by name', oninput: () => update(new Set(['pods'])) });
  const create = h('button', { class: 'primary', type: 'button', onclick: () => newPod() }, 'New pod');
  const cards = h('ul', { class: 'grid cards' });
  const none = empty();
  const add = h('button', { type: 'button', onclick: () => newHost() }, 'Add host');
  const hosts = h('ul', { class: 'grid hosts' });
  const noHosts = h('p', { class: 'empty', hidden: true }, 'No hosts yet: pods have nowhere to run. Add one.');
  const el = h('div', { class: 'page' },
    wrong.el,
    h('div', { class: 'title' }, h('div', {}, h('h1', {}, 'Pods'), summary), h('div', { class: 'actions' }, filter, create)),
    cards, none,
    h('div', { class: 'title' }, h('h2', {}, 'Hosts'), h('div', { class: 'actions' }, add)), hosts, noHosts);
  const watch = new Watch();
  const clock = setInterval(() => { for (const row of cards.keyedRows?.values() ?? []) row.age(); }, 5000);

  function update(changed) {
    const all = changed.has('all') || changed.has('pods');
    if (all || changed.has('cluster')) {
      wrong.update(state.cluster.problems);
      const nodes = [...state.pods.values()].reduce((sum, p) => sum + p.status.nodes.online, 0);
      set(summary, `${plural(state.pods.size, 'pod')}, ${plural(nodes, 'node')} online on ${plural(state.hosts.length, 'host')}`);
      for (const button of [create, add]) show(button, mayChange());
    }
    if (all) {
      const text = filter.value.trim();
      const pods = [...state.pods.values()].filter((p) => p.name.includes(text)).sort((a, b) => a.name.localeCompare(b.name));
      keyed(cards, pods, (p) => p.name, (p) => podCard(p, watch));
      show(none, state.pods.size === 0);
      show(filter, state.pods.size > 6);
    } else {
      for (const [name, row] of cards.keyedRows ?? []) {
        const p = state.pods.get(name);
        if (p && changed.has(`pod:${name}`)) row.update(p);
      }
    }
    if (changed.has('again')) for (const row of cards.keyedRows?.values() ?? []) row.again();
    if (all || changed.has('hosts')) {
      keyed(hosts, state.hosts, (x) => x.name, hostCard);
      show(noHosts, state.hosts.length === 0);
    }
  }
  return { el, update, end() { clearInterval(clock); watch.end(); } };
}

/** Watch tells cards when they are seen: those that are not are not drawn. */
class Watch {
  #cards = new Map();
  #seen = new IntersectionObserver((entries) => {
    for (const e of entries) this.#cards.get(e.target)?.(e.isIntersecting);
  }, { rootMargin: '200px' });

  add(el, f) {
    this.#cards.set(el, f);
    this.#seen.observe(el);
  }

  remove(el) {
    this.#cards.delete(el);
    this.#seen.unobserve(el);
  }

  end() { this.#seen.disconnect(); }
}

// History is read for a few cards at a time.
let busy = 0;
const waiting = [];
const asked = new Set();
function history(p) {
  if (asked.has(p.name) || state.sparks.get(p.name)?.read) return;
  asked.add(p.name);
  waiting.push(p.name);
  next();
}
async function next() {
  if (busy >= 3 || waiting.length === 0) return;
  busy++;
  const name = waiting.pop();
  try {
    await loadSpark(name);
  } catch {
    // the line then begins now
  }
  asked.delete(name);
  busy--;
  next();
}

function podCard(p, watch) {
  const mark = badge();
  const nodes = nodeBar();
  const spark = sparkline();
  const figures = { flight: stat('In flight'), rate: stat('Requests/s'), errors: stat('Errors/s'), cpu: stat('CPU'), p95: stat('p95') };
  const reason = h('p', { class: 'reason' });
  const age = h('span', { class: 'age' });
  const el = h('li', { class: 'card pod' },
    h('div', { class: 'card-head' }, h('h2', {}, h('a', { href: `#/pods/${p.name}`, class: 'cover' }, p.name)), mark.el),
    nodes.el,
    spark.el,
    h('dl', { class: 'stats' }, ...Object.values(figures).map((x) => x.el)),
    h('div', { class: 'last' }, reason, age));
  let pod = p;
  let seen = false;
  let missed = false;
  let first = true;
  function draw() {
    const st = pod.status;
    const sample = st.sample;
    mark.update(...podState(pod));
    nodes.update(pod);
    figures.flight.update(figure(sample?.in_flight));
    figures.rate.update(figure(sample?.rate));
    figures.errors.update(figure(sample?.errors), sample?.errors > 0);
    figures.cpu.update(percent(sample?.cpu), sample?.cpu > 0.95);
    figures.p95.update(seconds(sample?.p95));
    set(reason, st.last_change?.reason ?? st.reason ?? 'No decision yet');
    spark.update(state.sparks.get(pod.name) ?? []);
    showAge();
    missed = false;
  }
  function showAge() { set(age, pod.status.last_change ? ago(pod.status.last_change.at) : ''); }
  watch.add(el, (yes) => {
    if (yes && !seen) history(pod);
    seen = yes;
    if (seen && missed) draw();
  });
  return {
    el,
    again() { if (seen) history(pod); },
    age() { if (missed) draw(); else showAge(); }, // those out of sight are read by screen readers too
    update(now) {
      pod = now;
      if (seen || first) draw();
      else missed = true;
      first = false;
    },
    end: () => watch.remove(el),
  };
}

function hostCard(host) {
  const mark = badge();
  const engine = h('p', { class: 'sub' });
  const cpu = meter('CPU');
  const memory = meter('Memory');
  const disk = meter('Disk');
  const error = h('p', { class: 'error' });
  let now = host;
  const act = (f, props) => h('button', { type: 'button', class: 'small', ...props, async onclick(e) {
    const button = e.currentTarget;
    button.disabled = true;
    try {
      await f();
    } catch (err) {
      toast(err.message, 'error');
    }
    button.disabled = false;
  } });
  const edit = act(() => changeHost(now));
  const cordon = act(toggle);
  const remove = act(() => removeHost(now), { class: 'small danger' });
  async function toggle() {
    const yes = !now.cordoned;
    const sure = !yes || await confirm({
      title: `Cordon ${now.name}?`, text: 'It takes no new nodes until it is uncordoned. Those that it has stay.', verb: 'Cordon',
    });
    if (!sure) return;
    await request('PATCH', hostPath(now.name), { cordoned: yes });
    toast(`Host ${now.name} is ${yes ? 'cordoned' : 'uncordoned'}.`);
    await refreshRest();
  }
  const el = h('li', { class: 'card host' },
    h('div', { class: 'card-head' }, h('h3', {}, host.name), mark.el), engine, error, cpu.el, memory.el, disk.el, h('div', { class: 'card-foot' }, edit, cordon, remove));
  function update(x) {
    now = x;
    const st = x.status;
    if (!st.reachable) mark.update('unreachable', 'failed');
    else if (st.draining) mark.update('draining', 'draining');
    else if (x.cordoned) mark.update('cordoned', 'paused');
    else mark.update('reachable', 'online');
    set(engine, `${st.engine || x.runtime} · ${plural(st.nodes, 'node')}`);
    set(error, st.error ?? '');
    show(error, Boolean(st.error));
    const room = st.capacity.cpu * x.cpu_overcommit;
    cpu.update(st.used.cpu === null ? 0 : st.used.cpu / st.capacity.cpu,
      `${figure(st.reserved.cpu)} of ${figure(room)} cores reserved, ${st.used.cpu === null ? 'use not measured' : `${figure(st.used.cpu)} of ${figure(st.capacity.cpu)} used`}`, st.reserved.cpu / room);
    memory.update((st.used.memory ?? 0) / st.capacity.memory,
      `${bytes(st.reserved.memory)} reserved, ${bytes(st.used.memory)} used of ${bytes(st.capacity.memory)}`, st.reserved.memory / st.capacity.memory);
    show(disk.el, st.used.disk_total !== null);
    disk.update((st.used.disk ?? 0) / (st.used.disk_total || 1), `${bytes(st.used.disk)} of ${bytes(st.used.disk_total)} used`);
    show(cordon.parentElement, mayChange() && !st.draining);
    for (const [button, verb, label] of [[edit, 'Settings', 'Settings of'], [cordon, x.cordoned ? 'Uncordon' : 'Cordon'], [remove, st.nodes > 0 ? 'Drain and remove' : 'Remove']]) {
      set(button, verb);
      attr(button, 'aria-label', `${label ?? verb} host ${x.name}`);
    }
  }
  return { el, update };
}

function empty() {
  const init = h('button', { type: 'button', onclick: begin }, 'Create the default pods');
  async function begin() {
    try {
      await request('POST', '/v1/cluster/init');
      await refresh();
    } catch (err) {
      toast(err.message, 'error');
    }
  }
  return h('div', { class: 'empty', hidden: true }, h('h2', {}, 'No pods yet'),
    h('p', {}, 'A pod is a group of identical nodes that grows and shrinks with demand.'), mayChange() ? init : '');
}
