// How a pod grows and shrinks: bounds and thresholds are numbers in a panel and
// lines in the charts at once, and are seen against what was measured before
// they are applied.
import { h, set, show, toast } from './dom.js';
import { mayChange, podPath, request } from './api.js';
import { percent, plural } from './format.js';

/** thresholds returns the threshold rule of a policy, however it is wrapped. */
export function thresholds(policy) {
  for (let p = policy; p; p = p.policy) if (p.kind === 'threshold') return p;
  return null;
}

/** inWords describes a policy. */
export function inWords(policy) {
  if (!policy) return 'no policy';
  const t = thresholds(policy);
  const wrapped = [];
  for (let p = policy; p; p = p.policy) wrapped.push(p.kind);
  return t ? `${wrapped.join(' over ')}: add above ${percent(t.upper)}, remove below ${percent(t.lower)} of ${t.metric ?? 'cpu'}` : wrapped.join(' over ');
}

/** elasticityPanel needs the charts, and the pod as it is now. */
export function elasticityPanel(charts, current, changed) {
  let draft = null;
  const words = h('p', {});
  const dry = h('p', { class: 'note', hidden: true }, 'Dry run: decisions are recorded and not carried out.');
  const edit = h('button', { type: 'button', onclick: begin }, 'Change');
  const preview = h('p', { class: 'preview', 'aria-live': 'polite' });
  const error = h('ul', { class: 'error', role: 'alert' });
  const number = (name, label, props) => {
    const input = h('input', { id: `el-${name}`, type: 'number', ...props, oninput: () => { draft[name] = Number(input.value) / (props.scale ?? 1); lines(); } });
    return { input, name, scale: props.scale ?? 1, el: h('div', { class: 'field' }, h('label', { for: `el-${name}` }, label), input) };
  };
  const inputs = [number('min', 'Fewest nodes', { min: 1, step: 1 }), number('max', 'Most nodes', { min: 1, step: 1 }),
    number('lower', 'Lower threshold, %', { min: 0, max: 100, step: 1, scale: 100 }), number('upper', 'Upper threshold, %', { min: 0, max: 100, step: 1, scale: 100 })];
  const enabled = h('input', { type: 'checkbox', id: 'el-enabled', onchange: () => { draft.enabled = enabled.checked; lines(); } });
  const mode = h('select', { id: 'el-mode', onchange: () => { draft.mode = mode.value; } }, h('option', { value: 'act' }, 'act: carry decisions out'), h('option', { value: 'dry-run' }, 'dry-run: only record them'));
  const apply = h('button', { class: 'primary', type: 'submit' }, 'Apply');
  const form = h('form', { hidden: true, novalidate: true, onsubmit: send },
    h('p', { class: 'help' }, 'Drag the lines in the charts, or use the fields. Nothing changes before you apply it.'),
    h('div', { class: 'check' }, enabled, h('label', { for: 'el-enabled' }, 'The pod grows and shrinks by itself')),
    h('div', { class: 'fields four' }, ...inputs.map((x) => x.el), h('div', { class: 'field' }, h('label', { for: 'el-mode' }, 'Mode'), mode)),
    preview, error,
    h('div', { class: 'dialog-foot' }, h('button', { type: 'button', onclick: stop }, 'Cancel'), apply));
  const el = h('section', { class: 'card panel', 'aria-label': 'Elasticity' }, h('div', { class: 'card-head' }, h('h2', {}, 'Elasticity'), edit), words, dry, form);

  function begin() {
    const e = current().status.elasticity;
    const t = thresholds(e.policy);
    draft = { enabled: e.enabled, min: e.min ?? 1, max: e.max ?? current().max_nodes, mode: e.mode || 'act' };
    if (t || !e.policy) Object.assign(draft, { lower: t?.lower ?? 0.3, upper: t?.upper ?? 0.7 });
    enabled.checked = draft.enabled;
    mode.value = draft.mode;
    for (const x of inputs) show(x.el, draft[x.name] !== undefined);
    error.replaceChildren();
    show(form, true);
    show(edit, false);
    lines();
    inputs[0].input.focus();
  }
  function stop() {
    draft = null;
    show(form, false);
    update();
    edit.focus();
  }
  async function send(event) {
    event.preventDefault();
    const body = { enabled: draft.enabled, min: draft.min, max: draft.max, mode: draft.mode };
    if (draft.lower !== undefined) Object.assign(body, { lower_threshold: draft.lower, upper_threshold: draft.upper });
    apply.disabled = true;
    try {
      await request('PATCH', podPath(current().name, 'elasticity'), body);
      toast(`The elasticity of ${current().name} was changed.`);
      changed();
      stop();
    } catch (err) {
      const faults = err.faults?.map((f) => `${f.path}: ${f.problem}${f.allowed ? `; ${f.allowed}` : ''}`) ?? [];
      error.replaceChildren(...(faults.length ? faults : [err.message]).map((t) => h('li', {}, t)));
    }
    apply.disabled = false;
  }

  /** lines draws what holds now and, while it is changed, what would. */
  function lines() {
    const p = current();
    const e = p.status.elasticity;
    const t = thresholds(e.policy);
    const out = [];
    const add = (panel, scale, name, label, value, text, drag) => out.push({ panel, scale, value, text, label, kind: drag ? `draft ${name}` : name, step: scale === 'cpu' ? 0.01 : 1, min: scale === 'cpu' ? 0 : 1, max: scale === 'cpu' ? 1 : p.max_nodes, drag });
    const onCPU = t && (t.metric ?? 'cpu') === 'cpu';
    if (draft) {
      const move = (name) => (v) => { draft[name] = v; lines(); };
      add('demand', 'nodes', 'bound', 'Fewest nodes', draft.min, `min ${draft.min}`, move('min'));
      add('demand', 'nodes', 'bound', 'Most nodes', draft.max, `max ${draft.max}`, move('max'));
      if (draft.lower !== undefined) {
        add('cpu', 'cpu', 'lower', 'Lower threshold', draft.lower, `lower ${percent(draft.lower)}`, move('lower'));
        add('cpu', 'cpu', 'upper', 'Upper threshold', draft.upper, `upper ${percent(draft.upper)}`, move('upper'));
      }
      for (const x of inputs) if (draft[x.name] !== undefined && document.activeElement !== x.input) x.input.value = Math.round(draft[x.name] * x.scale);
      set(preview, forecast(p, t));
    } else if (e.enabled) {
      add('demand', 'nodes', 'bound', '', e.min, `min ${e.min}`);
      add('demand', 'nodes', 'bound', '', e.max, `max ${e.max}`);
      if (onCPU) {
        add('cpu', 'cpu', 'lower', '', t.lower, `lower ${percent(t.lower)}`);
        add('cpu', 'cpu', 'upper', '', t.upper, `upper ${percent(t.upper)}`);
      }
    }
    charts.setLines(out);
    charts.draw();
  }

  /** forecast says what the draft means for what is measured and shown. */
  function forecast(p, t) {
    if (!draft.enabled) return `Switched off: the pod keeps its ${p.status.want} nodes until you change them.`;
    const parts = [];
    const want = p.status.want;
    if (want < draft.min) parts.push(`At once: ${want} → ${draft.min} nodes.`);
    else if (want > draft.max) parts.push(`At once: ${want} → ${draft.max} nodes.`);
    else parts.push(`The ${plural(want, 'node')} that it has stays inside of the bounds.`.replace(/(nodes .*)stays/, '$1stay'));
    const cpu = charts.shown().map((x) => x.cpu).filter((x) => x !== null);
    if (draft.lower !== undefined && cpu.length > 0) {
      const share = (f) => percent(cpu.filter(f).length / cpu.length);
      const was = t ? ` (now ${share((x) => x > t.upper)})` : '';
      const wasLow = t ? ` (now ${share((x) => x < t.lower)})` : '';
      parts.push(`Of the time shown, CPU was above the upper threshold ${share((x) => x > draft.upper)}${was}, below the lower one ${share((x) => x < draft.lower)}${wasLow}.`);
    }
    return parts.join(' ');
  }

  function update() {
    const e = current().status.elasticity;
    set(words, e.enabled ? `${e.min} to ${e.max} nodes by ${inWords(e.policy)}.` : 'Off: the number of nodes is changed by hand.');
    show(dry, e.enabled && e.mode === 'dry-run');
    show(edit, mayChange() && !draft);
    if (!draft) lines();
  }
  return { el, update };
}
