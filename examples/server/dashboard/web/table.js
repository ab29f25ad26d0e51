// A table that is sorted by a click on a heading.
import { h, keyed } from './dom.js';

/**
 * table takes columns {name, of, cell?, right?}: of returns what is sorted by,
 * cell makes {el?, update(item)} or is left out where of is shown as it is.
 */
export function table(caption, columns, key, { sort = 0, down = false } = {}) {
  let by = sort;
  let reverse = down;
  let last = [];
  const heads = columns.map((c, i) => {
    const button = c.of ? h('button', { type: 'button', onclick: () => order(i) }, c.name) : h('span', { class: c.hidden ? 'visually-hidden' : null }, c.name);
    return h('th', { scope: 'col', class: c.right ? 'right' : null }, button);
  });
  const body = h('tbody', {});
  const el = h('div', { class: 'table', tabindex: 0, role: 'region', 'aria-label': caption },
    h('table', {}, h('caption', { class: 'visually-hidden' }, caption), h('thead', {}, h('tr', {}, ...heads)), body));
  function order(i) {
    reverse = i === by ? !reverse : Boolean(columns[i].right);
    by = i;
    draw();
  }
  function draw() {
    heads.forEach((th, i) => (i === by ? th.setAttribute('aria-sort', reverse ? 'descending' : 'ascending') : th.removeAttribute('aria-sort')));
    const { of } = columns[by];
    const items = last.map((item) => [of(item), item]).sort(([a], [b]) => compare(a, b) * (reverse ? -1 : 1)).map(([, item]) => item);
    keyed(body, items, key, () => {
      const cells = columns.map((c) => {
        const part = c.cell?.() ?? text(c.of);
        const cell = h(c.head ? 'th' : 'td', { scope: c.head ? 'row' : null, class: [c.right && 'right', c.wide && 'wide'].filter(Boolean).join(' ') || null, 'data-label': c.name }, part.el ?? '');
        return { cell, update: (item) => (part.el ? part.update(item) : part.update(item, cell)) };
      });
      return { el: h('tr', {}, ...cells.map((c) => c.cell)), update: (item) => cells.forEach((c) => c.update(item)) };
    });
  }
  return { el, update(items) { last = items; draw(); } };
}

/** text is a cell that shows a text. */
export function text(of) {
  return { update(item, cell) { const t = String(of(item)); if (cell.textContent !== t) cell.textContent = t; } };
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return typeof a === 'string' ? a.localeCompare(b, 'en', { numeric: true }) : a - b;
}
