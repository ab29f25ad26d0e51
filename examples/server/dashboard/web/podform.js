// The form that creates a pod. What is typed becomes the body of the request, is
// held against the server's OpenAPI document at once, and can be edited as JSON too.
import { h, set, toast } from './dom.js';
import { request } from './api.js';
import { dialog } from './dialog.js';
import { at, faults, schemas } from './schema.js';
import { refresh } from './store.js';

const fields = [
  { path: 'name', label: 'Name' },
  { path: 'kind', label: 'Kind', options: ['service', 'job'] },
  { path: 'workload.image', label: 'Image' },
  { path: 'workload.command', label: 'Command, one argument a line', lines: true },
  { path: 'workload.ports.http', label: 'Port of the workload', number: true, help: 'The TCP port on which it listens, named "http".' },
  { path: 'workload.probe.http', label: 'Probe path' },
  { path: 'limits.cpu', label: 'CPU limit of a node, cores', number: true },
  { path: 'limits.memory', label: 'Memory limit of a node' },
  { path: 'max_nodes', label: 'Most nodes', number: true },
  { path: 'fronts.0.listen', label: 'Front', help: 'IP address and port on which requests are taken, such as 127.0.0.1:5100.' },
  { path: 'drain', label: 'Drain' },
  { path: 'security', label: 'Security', options: ['default', 'strict'] },
];

export async function podForm() {
  let all;
  try {
    all = await schemas();
  } catch (err) {
    toast(err.message, 'error');
    return;
  }
  const root = { $ref: '#/components/schemas/Pod' };
  let body = { name: '', workload: {} };
  let typed = new Set();
  const inputs = new Map();
  const json = h('textarea', { id: 'pod-json', rows: 12, spellcheck: 'false', 'aria-describedby': 'pod-json-error', oninput: fromJSON });
  const jsonError = h('p', { id: 'pod-json-error', class: 'error' });
  const general = h('ul', { class: 'error', role: 'alert' });
  const create = h('button', { class: 'primary', type: 'submit' }, 'Create');
  const rows = fields.map((f) => {
    const schema = at(all, root, f.path);
    const id = `pod-${f.path.replaceAll('.', '-')}`;
    const props = { id, 'aria-describedby': `${id}-help ${id}-error`, oninput: () => { typed.add(f.path); fromFields(); }, autocomplete: 'off', spellcheck: 'false' };
    let input;
    if (f.options) input = h('select', props, ...f.options.map((o, i) => h('option', { value: i === 0 ? '' : o }, o)));
    else if (f.lines) input = h('textarea', { ...props, rows: 3 });
    else input = h('input', { ...props, inputmode: f.number ? 'decimal' : undefined, placeholder: schema.examples?.[0] });
    const error = h('p', { id: `${id}-error`, class: 'error' });
    inputs.set(f.path, { f, input, error });
    return h('div', { class: f.lines ? 'field wide' : 'field' }, h('label', { for: id }, f.label), input, h('p', { id: `${id}-help`, class: 'help' }, f.help ?? schema.description ?? ''), error);
  });
  const form = h('form', { novalidate: true, onsubmit: submit },
    h('div', { class: 'fields' }, ...rows),
    h('details', {}, h('summary', {}, 'All settings, as JSON'), h('label', { for: 'pod-json', class: 'visually-hidden' }, 'All settings, as JSON'), json, jsonError),
    general,
    h('div', { class: 'dialog-foot' }, h('button', { type: 'button', onclick: () => el.close() }, 'Cancel'), create));
  const el = dialog('New pod', form);
  el.classList.add('wide');
  inputs.get('name').input.focus();
  toJSON();
  check();

  function fromFields() {
    for (const { f, input } of inputs.values()) put(body, f.path, read(f, input.value));
    toJSON();
    check();
  }
  function toJSON() {
    json.value = JSON.stringify(body, null, 2);
    set(jsonError, '');
  }
  function fromJSON() {
    try {
      body = JSON.parse(json.value);
      set(jsonError, '');
    } catch (err) {
      set(jsonError, err.message);
      return;
    }
    for (const { f, input } of inputs.values()) {
      const v = f.path.split('.').reduce((x, name) => x?.[name], body);
      input.value = Array.isArray(v) ? v.join('\n') : v ?? '';
      if (v !== undefined) typed.add(f.path);
    }
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
      x.input.toggleAttribute('aria-invalid', false);
      if (shown) x.input.setAttribute('aria-invalid', 'true');
    }
    general.replaceChildren(...(server.length > 0 || typed.size > 0 ? rest : []).map((t) => h('li', {}, t)));
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
    create.disabled = true;
    try {
      const made = await request('POST', '/v1/pods', body);
      await refresh();
      el.close();
      toast(`Pod ${made.name} was created.`);
      location.hash = `#/pods/${made.name}`;
    } catch (err) {
      if (err.faults?.length > 0) check(err.faults);
      else general.replaceChildren(h('li', {}, err.message));
      [...inputs.values()].find((x) => x.error.textContent)?.input.focus();
    }
    create.disabled = false;
  }
}

function read(f, text) {
  const value = text.trim();
  if (value === '') return undefined;
  if (f.lines) return value.split('\n');
  if (f.number && !Number.isNaN(Number(value))) return Number(value);
  return value;
}

/** put sets a field; one that is empty is left out, and what it stood in with it. */
function put(object, path, value) {
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
    if (names[i - 1] !== 'workload' && Object.keys(way[i]).length === 0) {
      if (Array.isArray(way[i - 1])) way[i - 1].splice(Number(names[i - 1]), 1);
      else delete way[i - 1][names[i - 1]];
    }
  }
  if (path === 'name') object.name ??= '';
}
