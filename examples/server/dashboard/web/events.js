// What happened, newest first.
import { h, keyed, set, show } from './dom.js';
import { state } from './store.js';
import { plural, stamp } from './format.js';

const SHOWN = 300;
const KINDS = { pod: 'Pods', node: 'Nodes', rollout: 'Rollouts', host: 'Hosts', image: 'Images' };
const BAD = new Set(['node.failed', 'node.hung', 'node.cut', 'pod.problem', 'host.unreachable', 'rollout.rolled-back', 'balancer.incident']);

/** eventRow shows an event. */
export function eventRow(e) {
  const family = e.type.split('.')[0];
  const el = h('li', { class: `event ${BAD.has(e.type) ? 'bad' : family}` },
    h('time', { datetime: e.at }, stamp(e.at)),
    h('span', { class: 'event-type' }, e.type),
    h('span', { class: 'event-what' }, e.pod ? h('a', { href: `#/pods/${e.pod}` }, e.pod) : '', e.node ? ` ${e.node}` : '', e.host && !e.pod ? e.host : ''),
    h('span', { class: 'event-text' }, e.message ?? ''));
  return { el, update() {} };
}

export function eventsPage() {
  const lead = h('p', { class: 'lead' });
  const text = h('input', { type: 'search', placeholder: 'Filter by pod, node, host or text', 'aria-label': 'Filter events', oninput: draw });
  const kind = h('select', { 'aria-label': 'Kind of event', onchange: draw }, h('option', { value: '' }, 'All kinds'),
    ...Object.entries(KINDS).map(([k, name]) => h('option', { value: k }, name)), h('option', { value: '!' }, 'What went wrong'));
  const hold = h('button', { type: 'button', 'aria-pressed': 'false', onclick: pause }, 'Hold');
  const list = h('ol', { class: 'events' });
  const none = h('p', { class: 'empty' }, 'Nothing has happened that matches.');
  const el = h('div', { class: 'page' },
    h('div', { class: 'title' }, h('div', {}, h('h1', {}, 'Events'), lead), h('div', { class: 'actions' }, text, kind, hold)), list, none);
  let held = null;
  function pause() {
    held = held ? null : [...state.events];
    hold.setAttribute('aria-pressed', String(Boolean(held)));
    draw();
  }
  function draw() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (e) => (kind.value === '' || (kind.value === '!' ? BAD.has(e.type) : e.type.startsWith(`${kind.value}.`)))
      && words.every((w) => [e.type, e.pod, e.node, e.host, e.message].some((x) => x?.toLowerCase().includes(w)));
    const all = (held ?? state.events).filter(fits);
    const items = all.slice(-SHOWN).reverse();
    keyed(list, items, (e) => e.id, eventRow);
    show(none, items.length === 0);
    set(lead, `${plural(all.length, 'event')}${all.length > SHOWN ? `, the last ${SHOWN} of them shown` : ''}${held ? ', held' : ''}`);
  }
  return { el, update(changed) { if (!held && (changed.has('all') || changed.has('events'))) draw(); } };
}
