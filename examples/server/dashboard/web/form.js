// Forms of settings. What is typed becomes the body of a request, is held against
// the server's OpenAPI document at once, and can be edited as JSON too.
import { h, set, toast } from './dom.js';
import { dialog } from './dialog.js';
import { at, faults, schemas } from './schema.js';

/**
 * settingsForm opens a dialog with fields for the settings of a kind of resource.
 *   title, verb     the dialog's heading and its button
 *   prefix          begins the ids of the fields
 *   schema          the name of the schema in the OpenAPI document
 *   fields          [{path, label, help?, options?, required?, lines?, number?, fixed?}]
 *   value           the settings to begin with
 *   keep            paths of objects that stay even where they are empty
 *   about?(value)   returns sentences about what would happen
 *   send(value)     sends them; the dialog closes once it is done
 */
export async function settingsForm({ title, verb, prefix, schema, fields, value, keep = [], about, send }) {
  let all;
  try {
    all = await schemas();
  } catch (err) {
    toast(err.message, 'error');
    return;
  }
  const root = { $ref: `#/components/schemas/${schema}` };
  let body = structuredClone(value);
  let typed = new Set();
  const inputs = new Map();
  const json = h('textarea', { id: `${prefix}-json`, rows: 12, spellcheck: 'false', 'aria-describedby': `${prefix}-json-error`, oninput: fromJSON });
  const jsonError = h('p', { id: `${prefix}-json-error`, class: 'error' });
  const general = h('ul', { class: 'error', role: 'alert' });
  const told = h('ul', { class: 'preview', 'aria-live': 'polite' });
  const go = h('button', { class: 'primary', type: 'submit' }, verb);
  const rows = fields.map((f) => {
    const field = at(all, root, f.path);
    const id = `${prefix}-${f.path.replaceAll('.', '-')}`;
    const props = { id, disabled: f.fixed, 'aria-describedby': `${id}-help ${id}-error`, oninput: () => { typed.add(f.path); fromFields(); }, autocomplete: 'off', spellcheck: 'false' };
    let input;
    if (f.options) input = h('select', props, ...f.options.map((o, i) => h('option', { value: i === 0 && !f.required ? '' : o }, o)));
    else if (f.lines) input = h('textarea', { ...props, rows: 3 });
    else input = h('input', { ...props, inputmode: f.number ? 'decimal' : undefined, placeholder: field.examples?.[0] });
    const error = h('p', { id: `${id}-error`, class: 'error' });
    inputs.set(f.path, { f, input, error });
    return h('div', { class: f.lines ? 'field wide' : 'field' }, h('label', { for: id }, f.label), input, h('p', { id: `${id}-help`, class: 'help' }, f.help ?? field.description ?? ''), error);
  });
  const form = h('form', { novalidate: true, onsubmit: submit },
    h('div', { class: 'fields' }, ...rows),
    h('details', {}, h('summary', {}, 'All settings, as JSON'), h('label', { for: json.id, class: 'visually-hidden' }, 'All settings, as JSON'), json, jsonError),
    about ? told : null, general,
    h('div', { class: 'dialog-foot' }, h('button', { type: 'button', onclick: () => el.close() }, 'Cancel'), go));
  const el = dialog(title, form);
  el.classList.add('wide');
  toFields();
  toJSON();
  check();
  [...inputs.values()].find((x) => !x.f.fixed).input.focus();

  function fromFields() {
    for (const { f, input } of inputs.values()) if (!f.fixed && typed.has(f.path)) put(body, f.path, read(f, input.value), keep);
    toJSON();
    check();
  }
  function toFields() {
    for (const { f, input } of inputs.values()) {
      const v = f.path.split('.').reduce((x, name) => x?.[name], body);
      input.value = Array.isArray(v) ? v.join('\n') : v === undefined || (f.options && !f.required && v === f.options[0]) ? '' : v;
    }
  }
  function toJSON() {
    json.value = JSON.stringify(body, null, 2);
    set(jsonError, '');
  }
  function fromJSON() {
    try {
      const read = JSON.parse(json.value);
      if (read === null || typeof read !== 'object' || Array.isArray(read)) throw new Error('is not an object');
      body = read;
      set(jsonError, '');
    } catch (err) {
      set(jsonError, err.message);
      return;
    }
    toFields();
    for (const { f } of inputs.values()) if (f.path.split('.').reduce((x, name) => x?.[name], body) !== undefined) typed.add(f.path);
    check();
  }
  function check(server = []) {
    const found = server.length > 0 ? server : faults(all, root, body);
    const rest = [];
    for (const x of inputs.values()) x.text = '';
    for (const fault of found) {
      const path = fault.path.replace(/\[(\d+)\]/g, '.$1');
      const x = inputs.get(path) ?? [...inputs.values()].find((y) => path.startsWith(`${y.f.path}.`));
      const text = `${fault.problem}${fault.allowed ? `: ${fault.allowed}` : ''}`;
      if (x) x.text = text;
      else rest.push(`${fault.path} ${text}`);
    }
    for (const [path, x] of inputs) {
      const shown = server.length > 0 || typed.has(path) ? x.text : '';
      set(x.error, shown);
      if (shown) x.input.setAttribute('aria-invalid', 'true');
      else x.input.removeAttribute('aria-invalid');
    }
    general.replaceChildren(...(server.length > 0 || typed.size > 0 ? rest : []).map((t) => h('li', {}, t)));
    if (about) told.replaceChildren(...about(body).map((t) => h('li', {}, t)));
    return found;
  }
  async function submit(e) {
    e.preventDefault();
    typed = new Set(inputs.keys());
    if (jsonError.textContent) return;
    if (check().length > 0) {
      [...inputs.values()].find((x) => x.text)?.input.focus();
      return;
    }
    go.disabled = true;
    try {
      if (await send(body) !== false) el.close();
    } catch (err) {
      if (err.faults?.length > 0) check(err.faults);
      else general.replaceChildren(h('li', {}, err.message));
      [...inputs.values()].find((x) => x.error.textContent)?.input.focus();
    }
    go.disabled = false;
  }
}

function read(f, text) {
  const value = text.trim();
  if (value === '') return undefined;
  if (f.lines) return value.split('\n').map((x) => x.trim()).filter(Boolean);
  if (f.number && !Number.isNaN(Number(value))) return Number(value);
  return value;
}

/** put sets a field; one that is empty is left out, and what it stood in with it. */
function put(object, path, value, keep) {
  const names = path.split('.');
  const last = names.pop();
  const way = [object];
  for (const [i, name] of names.entries()) {
    const here = way.at(-1);
    if (here[name] === undefined) {
      if (value === undefined) return;
      here[name] = /^\d+$/.test(names[i + 1] ?? last) ? [] : {};
    }
    way.push(here[name]);
  }
  if (value !== undefined) way.at(-1)[last] = value;
  else delete way.at(-1)[last];
  for (let i = way.length - 1; i > 0; i--) {
    if (keep.includes(names.slice(0, i).join('.')) || Object.keys(way[i]).length > 0) continue;
    if (Array.isArray(way[i - 1])) way[i - 1].splice(Number(names[i - 1]), 1);
    else delete way[i - 1][names[i - 1]];
  }
}
