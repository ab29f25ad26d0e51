// The output of a node, followed live.
import { h, set, show } from './dom.js';
import { lines, open, podPath } from './api.js';

const KEPT = 2000;

export function logPanel() {
  const title = h('h2', {}, 'Log');
  const note = h('p', { class: 'sub', role: 'status' });
  const out = h('pre', { class: 'log', tabindex: 0, role: 'region', 'aria-label': 'Output of the node' });
  const el = h('section', { class: 'card panel', hidden: true, 'aria-label': 'Log of a node' },
    h('div', { class: 'card-head' }, title, h('button', { type: 'button', onclick: close }, 'Close')), note, out);
  let stop = null;
  let opener = null;

  function close() {
    stop?.abort();
    show(el, false);
    opener?.focus();
  }

  /** follow shows a node's output until it ends or is closed. */
  async function follow(pod, node) {
    stop?.abort();
    const mine = new AbortController();
    stop = mine;
    opener = document.activeElement;
    set(title, `Log of ${node}`);
    set(note, 'Reading…');
    out.replaceChildren();
    show(el, true);
    el.scrollIntoView({ block: 'nearest' });
    out.focus({ preventScroll: true });
    let pending = [];
    let timer = 0;
    const flush = () => {
      timer = 0;
      const atEnd = out.scrollHeight - out.scrollTop - out.clientHeight < 30;
      out.append(...pending.slice(-KEPT).map((t) => h('span', {}, `${t}\n`)));
      pending = [];
      while (out.childElementCount > KEPT) out.firstChild.remove();
      if (atEnd) out.scrollTop = out.scrollHeight;
    };
    try {
      const answer = await open('GET', `${podPath(pod, 'nodes', node, 'logs')}?tail=500&follow=true`, undefined, mine.signal);
      set(note, 'Live');
      for await (const line of lines(answer)) {
        pending.push(line);
        timer ||= setTimeout(flush, 100);
      }
      set(note, 'The node has ended.');
    } catch (err) {
      if (!mine.signal.aborted) set(note, err.status ? err.message : 'The output broke off; what follows is not shown.');
    }
    flush();
    if (!mine.signal.aborted && out.childElementCount === 0) out.append(h('span', { class: 'sub' }, 'It has written nothing.\n'));
  }
  return { el, follow, end() { stop?.abort(); } };
}
