// Small helpers to build and update the page. Text only ever goes in as text:
// nothing here reads markup, so what the API says cannot become any.

/** h makes an element. Properties that begin with "on" are listeners. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

const SVG = 'http://www.w3.org/2000/svg';

/** s makes an element of SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(el.dataset, value);
    else if (name === 'value') el.value = value;
    else el.setAttribute(name === 'class' ? 'class' : name, value === true ? '' : value);
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

/** set changes a text only where it is another, which keeps layout and screen readers calm. */
export function set(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** attr sets or, with null, removes an attribute, only where it is another. */
export function attr(el, name, value) {
  if (value === null || value === undefined) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
  } else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

/** show hides an element or takes it back. */
export function show(el, yes) {
  if (el.hidden === yes) el.hidden = !yes;
}

/**
 * keyed keeps one element for each item, in the items' order, and makes and
 * removes as few as possible. make returns {el, update(item)}.
 */
export function keyed(parent, items, key, make) {
  const old = parent.keyedRows ?? new Map();
  const now = new Map();
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    const row = old.get(k) ?? make(item);
    now.set(k, row);
    row.update(item);
    if (row.el === at) at = at.nextElementSibling;
    else parent.insertBefore(row.el, at);
  }
  for (const [k, row] of old) {
    if (!now.has(k)) {
      row.end?.();
      row.el.remove();
    }
  }
  parent.keyedRows = now;
}

/** toast says for a while what was done or went wrong. */
export function toast(text, kind = 'done') {
  const el = h('p', { class: `toast ${kind}` }, text);
  document.getElementById('toasts').append(el);
  setTimeout(() => el.remove(), kind === 'error' ? 12000 : 5000);
}
