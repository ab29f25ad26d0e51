// Parts that several pages show.
import { h, s, set, show, attr, keyed } from './dom.js';
import { count, plural, span } from './format.js';

/** problems shows what is wrong now. A problem of another pod than here leads to that pod. */
export function problems(here = '') {
  const list = h('ul', {});
  const title = 'Needs attention';
  const el = h('section', { class: 'problems', 'aria-label': title, hidden: true }, h('span', { class: 'badge failed', 'aria-hidden': 'true' }, '!'), h('div', {}, h('h2', {}, title), list));
  return {
    el,
    update(all) {
      show(el, all.length > 0);
      keyed(list, all, (p) => [p.code, p.pod, p.node, p.host, p.front, said(p)].join(' '), (p) => {
        const again = h('span', {});
        const link = p.pod && p.pod !== here ? [h('a', { href: `#/pods/${encodeURIComponent(p.pod)}` }, p.pod), ' '] : [];
        return {
          el: h('li', {}, ...link, said(p), again),
          update(now) {
            again.dataset.again = now.again ?? '';
            set(again, nextTry(now.again));
          },
        };
      });
    },
  };
}

/** said is the text of a problem, without its last part where that is about the next try. */
const said = (p) => (p.again ? p.text.slice(0, p.text.lastIndexOf('; ')) : p.text);

/** nextTry says when something is tried again, as of now. */
function nextTry(again) {
  if (!again) return '';
  const left = Date.parse(again) - Date.now();
  return left > 0 ? `; the next try is in ${span(left + 999)}` : '; it is tried again now';
}
setInterval(() => { for (const el of document.querySelectorAll('.problems [data-again]')) set(el, nextTry(el.dataset.again)); }, 1000);

const STATES = ['online', 'starting', 'draining', 'standby', 'new', 'failed'];

/** nodeBar shows each node as a cell: state by colour and by shape, bounds as a line below. */
export function nodeBar() {
  const cells = h('div', { class: 'cells', 'aria-hidden': 'true' });
  const text = h('p', { class: 'node-text' });
  return {
    el: h('div', { class: 'node-bar' }, text, cells),
    update(p) {
      const n = p.status.nodes;
      const e = p.status.elasticity;
      set(text, nodeText(p));
      const all = STATES.flatMap((state) => Array(n[state] ?? 0).fill(state));
      const room = Math.max(p.max_nodes, all.length);
      const scale = Math.max(1, Math.ceil(room / 40));
      const drawn = Array.from({ length: Math.ceil(room / scale) }, (_, i) => all[i * scale] ?? 'free');
      while (cells.childElementCount > drawn.length) cells.lastChild.remove();
      while (cells.childElementCount < drawn.length) cells.append(h('i', {}));
      drawn.forEach((state, i) => {
        const within = e.enabled && (i + 1) * scale >= e.min && i * scale < e.max;
        const name = `${state}${within ? ' within' : ''}`;
        if (cells.children[i].className !== name) cells.children[i].className = name;
      });
    },
  };
}

/** nodeText: "3 nodes online of 1 to 6, limit 15". */
export function nodeText(p) {
  const n = p.status.nodes;
  const e = p.status.elasticity;
  const others = STATES.slice(1).filter((x) => n[x] > 0).map((x) => `${n[x]} ${x}`);
  const bounds = e.enabled ? `of ${e.min} to ${e.max}, limit ${p.max_nodes}` : `of at most ${p.max_nodes}`;
  const wanted = p.status.want === n.online ? '' : `, ${count(p.status.want)} wanted`;
  return `${plural(n.online, 'node')} online ${bounds}${wanted}${others.length ? ` · ${others.join(', ')}` : ''}`;
}

/** podState is the state in a word, and how it is drawn. */
export function podState(p) {
  const st = p.status;
  if (st.state === 'deleting') return ['deleting', 'draining'];
  if (st.state === 'paused') return ['paused', 'paused'];
  if (st.problems.length > 0) return ['problem', 'failed'];
  if (st.rollout?.state === 'progressing') return ['rolling out', 'starting'];
  if (st.rollout?.state === 'paused') return ['rollout paused', 'paused'];
  if (!st.converged) return ['changing', 'starting'];
  if (st.nodes.online === 0) return ['no nodes', 'free'];
  return ['active', 'online'];
}

const GLYPH = { online: '●', starting: '◐', draining: '◇', paused: '‖', failed: '!', free: '○', new: '○', standby: '◌', gone: '–' };

/** badge is a state as a word with a sign, told apart without colours. */
export function badge() {
  const glyph = h('span', { 'aria-hidden': 'true' });
  const word = h('span', {});
  const el = h('span', { class: 'badge' }, glyph, word);
  return {
    el,
    update(text, kind) {
      attr(el, 'class', `badge ${kind}`);
      set(glyph, GLYPH[kind] ?? '○');
      set(word, text);
    },
  };
}

/** meter is a share of something, with the text beside it. */
export function meter(label) {
  const fill = s('rect', { height: 6, class: 'meter-fill' });
  const more = s('rect', { height: 6, class: 'meter-more' });
  const text = h('span', { class: 'meter-text' });
  const el = h('div', { class: 'meter' }, h('span', { class: 'meter-label' }, label), text,
    s('svg', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, s('rect', { width: 100, height: 6, class: 'meter-back' }), more, fill));
  return {
    el,
    update(share, words, lighter = 0) {
      attr(fill, 'width', Math.min(100, Math.max(0, share * 100)).toFixed(1));
      attr(more, 'width', Math.min(100, Math.max(0, lighter * 100)).toFixed(1));
      el.classList.toggle('full', share > 0.9);
      set(text, words);
    },
  };
}

/** stat is a figure with its name. */
export function stat(label) {
  const value = h('dd', {});
  return { el: h('div', { class: 'stat' }, h('dt', {}, label), value), update(text, bad = false) { set(value, text); value.classList.toggle('bad', bad); } };
}

/** sparkline draws demand as an area and nodes as steps, over the last minutes. */
export function sparkline(minutes = 5) {
  const W = 300;
  const H = 56;
  const area = s('path', { class: 'spark-demand' });
  const line = s('path', { class: 'spark-nodes' });
  const el = s('svg', { class: 'spark', viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img' }, area, line);
  return {
    el,
    update(samples) {
      const now = samples.at(-1)?.t ?? Date.now();
      const from = now - minutes * 60000;
      let first = samples.findIndex((x) => x.t >= from);
      if (first < 0) first = samples.length;
      const n = samples.length - first;
      const step = Math.max(1, Math.floor(n / 150));
      let maxRate = 1;
      let maxNodes = 2;
      for (let i = first; i < samples.length; i++) {
        maxRate = Math.max(maxRate, samples[i].rate ?? 0);
        maxNodes = Math.max(maxNodes, samples[i].want, samples[i].online);
      }
      const x = (t) => (((t - from) / (now - from)) * W).toFixed(1);
      const y = (v, max) => (H - 2 - (v / max) * (H - 8)).toFixed(1);
      let demand = '';
      let nodes = '';
      let start = 0;
      for (let i = first; i < samples.length; i += step) {
        const p = samples[i];
        if (demand === '') start = x(p.t);
        demand += `${demand === '' ? `M${x(p.t)},${H}L` : 'L'}${x(p.t)},${y(p.rate ?? 0, maxRate * 1.1)}`;
        nodes += nodes === '' ? `M${x(p.t)},${y(p.online, maxNodes * 1.1)}` : `H${x(p.t)}V${y(p.online, maxNodes * 1.1)}`;
      }
      if (demand !== '') demand += `L${W},${H}L${start},${H}Z`;
      attr(area, 'd', demand);
      attr(line, 'd', nodes);
      attr(el, 'aria-label', `Requests a second and nodes over the last ${minutes} minutes: at most ${Math.round(maxRate)} requests a second`);
    },
  };
}
