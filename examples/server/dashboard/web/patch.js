// JSON merge patches (RFC 7396): what has to be sent to make one object another.

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** diff returns the patch that makes before after; {} where they are the same. */
export function diff(before, after) {
  const out = {};
  for (const name of Object.keys(before)) if (after[name] === undefined) out[name] = null;
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined || same(before[name], value)) continue;
    out[name] = isObject(before[name]) && isObject(value) ? diff(before[name], value) : value;
  }
  return out;
}

/** changes lists what a patch changes: [["limits.cpu", 0.5, 1], …]. */
export function changes(before, patch, path = '') {
  return Object.entries(patch).flatMap(([name, value]) => {
    const at = path ? `${path}.${name}` : name;
    const was = before?.[name];
    const deeper = isObject(value) && (isObject(was) || (was === undefined && Object.keys(value).length > 0));
    return deeper ? changes(was, value, at) : [[at, was, value]];
  });
}

/** words writes a value of a setting for people. */
export const words = (v) => (v === undefined || v === null ? 'the default' : typeof v === 'string' ? v : JSON.stringify(v));
