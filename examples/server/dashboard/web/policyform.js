// A form for a policy of any kind that the server knows, made of the schemas that
// it tells. What has no schema is edited as JSON.
import { h, set } from './dom.js';
import { get } from './api.js';
import { faults } from './schema.js';

let loading = null;

/** policyKinds returns the kinds of policies that the server knows, by name. */
export function policyKinds() {
  loading ??= get('/v1/policies').then(({ items }) => new Map(items.map((k) => [k.kind, k]))).catch((err) => {
    loading = null;
    throw err;
  });
  return loading;
}

/** What a new policy of a kind begins with, where its schema does not say. */
const sensible = { threshold: { lower: 0.3, upper: 0.7 }, target: { metric: 'cpu', value: 0.6 }, cooldown: { up: '10s', down: '1m' }, stabilize: { down: '1m' }, 'step-limit': { up: 2, down: 1 } };

// The order in which people think of settings; others follow.
const ORDER = ['metric', 'lower', 'upper', 'value', 'tolerance', 'step', 'up', 'down', 'period'];
const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

const wraps = (property) => property?.$ref === '#/$defs/policy';
const inner = (schema) => Object.entries(schema?.properties ?? {}).find(([, p]) => wraps(p))?.[0];
const isFraction = (p) => p.type === 'number' && p.minimum === 0 && (p.maximum === 1 || p.exclusiveMaximum === 1);
const title = (name) => `${name[0].toUpperCase()}${name.slice(1).replaceAll('_', ' ')}`;

/** otherKind makes a policy of another kind, which keeps what the old one wrapped, or wraps the old one. */
export function otherKind(kinds, old, kind) {
  const schema = kinds.get(kind)?.schema;
  const made = { kind, ...sensible[kind] };
  for (const name of schema?.required ?? []) {
    const p = schema.properties?.[name] ?? {};
    if (made[name] !== undefined || wraps(p)) continue;
    made[name] = p.default ?? p.enum?.[0] ?? p.minimum ?? { number: 1, integer: 1, boolean: false, array: [], object: {} }[p.type] ?? '';
  }
  const to = inner(schema);
  const from = inner(kinds.get(old.kind)?.schema);
  if (to) made[to] = structuredClone(from && old[from] ? old[from] : old);
  else if (from) for (let p = old[from]; p; p = p[inner(kinds.get(p.kind)?.schema)]) if (p.kind === kind) return structuredClone(p);
  return made;
}

/**
 * policyForm edits a policy. changed is called with each new policy; update shows
 * one that was changed elsewhere. faults says how many fields are wrong.
 */
export function policyForm(kinds, changed) {
  const el = h('div', { class: 'policy-form' });
  let policy = null;
  let parts = [];
  const wrong = new Set();

  function build() {
    parts = [];
    wrong.clear();
    el.replaceChildren(level(policy, 0, (p) => { policy = p; build(); changed(policy); }));
  }

  /** level shows one policy; the one that it wraps is a level further down. */
  function level(p, depth, replace) {
    const known = kinds.get(p.kind);
    const id = `policy-${depth}-kind`;
    const select = h('select', { id, 'aria-describedby': `${id}-help`, onchange() {
      const at = select.id;
      replace(otherKind(kinds, p, select.value));
      document.getElementById(at)?.focus();
    } }, ...[...new Set([...kinds.keys(), p.kind])].map((k) => h('option', { value: k, selected: k === p.kind }, k)));
    const box = h('fieldset', { class: 'policy' },
      h('legend', {}, depth === 0 ? 'Policy' : 'which wraps the policy'),
      h('div', { class: 'fields four' }, h('div', { class: 'field wide' }, h('label', { for: id }, 'Kind'), select, h('p', { id: `${id}-help`, class: 'help' }, known?.summary ?? 'The server tells nothing about this kind.'))));
    const fields = box.querySelector('.fields');
    if (!known?.schema.properties) {
      fields.append(asJSON(p, depth));
      return box;
    }
    for (const [name, property] of Object.entries(known.schema.properties).sort(([a], [b]) => place(a) - place(b))) {
      if (name === 'kind') continue;
      if (wraps(property)) {
        p[name] ??= { kind: 'threshold', ...sensible.threshold };
        box.append(level(p[name], depth + 1, (q) => { p[name] = q; build(); changed(policy); }));
      } else fields.append(field(p, name, property, known.schema.required?.includes(name), depth));
    }
    return box;
  }

  function field(p, name, property, required, depth) {
    const id = `policy-${depth}-${name}`;
    const scale = isFraction(property) ? 100 : 1;
    const error = h('p', { id: `${id}-error`, class: 'error' });
    const props = { id, 'aria-describedby': `${id}-help ${id}-error`, autocomplete: 'off', spellcheck: 'false', oninput: take };
    const plain = property.default === undefined ? undefined : String(scale === 100 ? property.default * 100 : property.default);
    let input;
    if (property.enum) input = h('select', props, required ? null : h('option', { value: '' }, `as usual${plain ? `: ${plain}` : ''}`), ...property.enum.map((v) => h('option', { value: v }, String(v))));
    else if (property.type === 'boolean') input = h('input', { ...props, type: 'checkbox' });
    else if (property.type === 'number' || property.type === 'integer') {
      input = h('input', { ...props, type: 'number', step: property.type === 'integer' || scale === 100 ? 1 : 'any', min: property.minimum === undefined ? undefined : property.minimum * scale, max: property.maximum > 1e6 ? undefined : property.maximum * scale || undefined, placeholder: plain });
    } else if (property.type === 'string') input = h('input', { ...props, placeholder: plain });
    else input = h('textarea', { ...props, rows: 3 });
    const loose = input.tagName === 'TEXTAREA';

    function take() {
      let v;
      try {
        if (property.type === 'boolean') v = input.checked;
        else if (input.value.trim() === '') v = undefined;
        else if (loose) v = JSON.parse(input.value);
        else if (property.enum) v = property.enum.find((x) => String(x) === input.value);
        else if (input.type === 'number') v = Number((Number(input.value) / scale).toPrecision(12));
        else v = input.value.trim();
        say(v);
      } catch (err) {
        say(undefined, err.message);
        return;
      }
      if (v === undefined) delete p[name];
      else p[name] = v;
      changed(policy);
    }
    function say(v, text = v === undefined ? (required ? 'is missing' : '') : faults({}, property, v)[0]?.problem ?? '') {
      set(error, scale === 100 ? text.replace(/\b[01]$/, (x) => `${x * 100} %`) : text);
      if (text) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
      if (text) wrong.add(id);
      else wrong.delete(id);
    }
    function show() {
      const v = p[name];
      if (property.type === 'boolean') input.checked = v ?? property.default ?? false;
      else if (document.activeElement !== input) input.value = v === undefined ? '' : loose ? JSON.stringify(v) : scale === 100 ? Number((v * 100).toFixed(4)) : v;
      say(v);
    }
    parts.push(show);
    show();
    return h('div', { class: 'field' }, h('label', { for: id }, `${title(name)}${scale === 100 ? ', %' : ''}`), input, h('p', { id: `${id}-help`, class: 'help' }, property.description ?? ''), error);
  }

  function asJSON(p, depth) {
    const id = `policy-${depth}-json`;
    const { kind, ...rest } = p;
    const error = h('p', { id: `${id}-error`, class: 'error' });
    const input = h('textarea', { id, rows: 5, spellcheck: 'false', 'aria-describedby': `${id}-error`, oninput() {
      try {
        const read = JSON.parse(input.value);
        if (read === null || typeof read !== 'object' || Array.isArray(read)) throw new Error('is not an object');
        for (const name of Object.keys(p)) if (name !== 'kind') delete p[name];
        Object.assign(p, read, { kind });
        set(error, '');
        wrong.delete(id);
        changed(policy);
      } catch (err) {
        set(error, err.message);
        wrong.add(id);
      }
    } });
    input.value = JSON.stringify(rest, null, 2);
    return h('div', { class: 'field wide' }, h('label', { for: id }, 'Settings of this kind, as JSON'), input, error);
  }

  return {
    el,
    wrong: () => wrong.size,
    /** begin shows a policy, which is changed in place. */
    begin(p) { policy = p; build(); },
    update() { for (const show of parts) show(); },
  };
}
