// Holds what is typed against the OpenAPI document of the server.
import { get } from './api.js';

let loading = null;

/** schemas returns those of the server's OpenAPI document. */
export function schemas() {
  loading ??= get('/openapi.json').then((d) => d.components.schemas).catch((err) => {
    loading = null;
    throw err;
  });
  return loading;
}

/** resolve follows a reference. */
export function resolve(all, schema) {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name ? { ...all[name], description: schema.description ?? all[name].description } : schema;
}

/** at returns the schema of a field, named as in "limits.cpu". */
export function at(all, root, path) {
  let schema = resolve(all, root);
  for (const name of path.split('.')) {
    const next = /^\d+$/.test(name) ? schema.items : schema.properties?.[name] ?? schema.additionalProperties;
    if (!next) return {};
    schema = resolve(all, next);
  }
  return schema;
}

const kindOf = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);

/** faults returns [{path, problem}] of a value. */
export function faults(all, schema, value, path = '') {
  const s = resolve(all, schema);
  const bad = (problem) => [{ path, problem }];
  if (s.oneOf) {
    const each = s.oneOf.map((x) => faults(all, x, value, path));
    return each.some((x) => x.length === 0) ? [] : bad(`is not such a value${example(s)}`);
  }
  const types = [s.type].flat();
  const kind = kindOf(value);
  if (kind === 'null' || value === undefined) return [];
  const fits = types.some((t) => t === kind || (t === 'integer' && Number.isInteger(value)) || (t === 'number' && kind === 'number') || t === undefined);
  if (!fits) return bad({ integer: 'is not a whole number', number: 'is not a number', boolean: 'is neither true nor false', array: 'is not a list', object: 'is not an object', string: 'is not a text' }[types[0]] ?? 'is not right');
  if (s.enum && !s.enum.includes(value)) return bad(`is none of ${s.enum.join(', ')}`);
  if (kind === 'number') {
    if (value < s.minimum) return bad(`is below ${s.minimum}`);
    if (value > s.maximum) return bad(`is above ${s.maximum}`);
    if (value >= s.exclusiveMaximum) return bad(`has to be below ${s.exclusiveMaximum}`);
    if (value <= s.exclusiveMinimum) return bad(`has to be above ${s.exclusiveMinimum}`);
  }
  if (kind === 'string' && s.pattern && !new RegExp(s.pattern, 'u').test(value)) return bad(`is not such a value${example(s)}`);
  if (kind === 'array') return value.flatMap((v, i) => faults(all, s.items, v, `${path}[${i}]`));
  if (kind === 'object') {
    const below = (name) => (path ? `${path}.${name}` : name);
    const out = [];
    for (const [name, v] of Object.entries(value)) {
      const field = s.properties?.[name] ?? s.additionalProperties;
      if (field === false) out.push({ path: below(name), problem: 'is unknown' });
      else if (field && field !== true) out.push(...faults(all, field, v, below(name)));
    }
    for (const name of s.required ?? []) if (value[name] === undefined || value[name] === '') out.push({ path: below(name), problem: 'is missing' });
    return out;
  }
  return [];
}

const example = (s) => (s.examples ? `; use one like ${s.examples.join(' or ')}` : '');
