// What other bounds and another policy would mean for what is measured now and
// was measured in the time that the charts show.
import { percent, plural } from './format.js';

const known = (x) => x !== null && x !== undefined;

/**
 * forecast says it in sentences. next and before are the rules that decide, as
 * they would be and as they are; samples are those that are shown.
 */
export function forecast(pod, draft, next, before, samples) {
  const { want } = pod.status;
  if (!draft.enabled) return `Switched off: the pod keeps its ${plural(want, 'node')} until you change them.`;
  const parts = [];
  const keeps = draft.mode === 'dry-run' ? 'Dry run: nothing is carried out. ' : '';
  if (draft.min > draft.max) parts.push('The fewest nodes are more than the most.');
  else if (want < draft.min) parts.push(`${keeps}At once: ${want} → ${draft.min} nodes.`);
  else if (want > draft.max) parts.push(`${keeps}At once: ${want} → ${draft.max} nodes.`);
  else parts.push(`${keeps}The ${plural(want, 'node')} that it has ${want === 1 ? 'stays' : 'stay'} inside of the bounds.`);
  if (next.kind === 'threshold') parts.push(...shares(next, before, samples));
  if (next.kind === 'target') parts.push(...wishes(next, draft, samples));
  return parts.join(' ');
}

function shares(next, before, samples) {
  const of = (r) => samples.map((x) => x[r.metric ?? 'cpu']).filter(known);
  const values = of(next);
  if (values.length === 0 || !known(next.upper) || !known(next.lower)) return [];
  const share = (list, f) => percent(list.filter(f).length / list.length);
  const was = before?.kind === 'threshold' && (before.metric ?? 'cpu') === (next.metric ?? 'cpu');
  const name = (next.metric ?? 'cpu') === 'cpu' ? 'CPU' : 'memory';
  return [`Of the time shown, ${name} was above the upper threshold ${share(values, (x) => x > next.upper)}${was ? ` (now ${share(values, (x) => x > before.upper)})` : ''}, `
    + `below the lower one ${share(values, (x) => x < next.lower)}${was ? ` (now ${share(values, (x) => x < before.lower)})` : ''}.`];
}

function wishes(next, draft, samples) {
  if (!(next.value > 0)) return [];
  const total = (x) => (next.metric === 'in_flight' || next.metric === 'rate' ? x[next.metric] : known(x[next.metric]) ? x[next.metric] * x.nodes.online : null);
  const seen = samples.filter((x) => known(total(x)));
  if (seen.length === 0) return [];
  const bound = (n) => Math.min(draft.max, Math.max(draft.min, n));
  const asked = seen.map((x) => bound(Math.ceil(total(x) / next.value - 1e-9)));
  const had = seen.map((x) => x.want);
  const range = (list) => { const [lo, hi] = [Math.min(...list), Math.max(...list)]; return lo === hi ? plural(lo, 'node') : `${lo} to ${plural(hi, 'node')}`; };
  return [`For what was measured in the time shown it asks for ${range(asked)}, now for ${asked.at(-1)}; the pod had ${range(had)}.`];
}
