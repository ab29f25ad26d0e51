// How a pod grows and shrinks: bounds and thresholds are numbers in a panel and
// lines in the charts at once, and are seen against what was measured before
// they are applied.
import { h, set, show, toast } from './dom.js';
import { mayChange, podPath, request } from './api.js';
import { figure, percent, plural } from './format.js';
import { forecast } from './forecast.js';
import { diff } from './patch.js';
import { policyForm, policyKinds } from './policyform.js';

/** rule returns the policy that decides, however it is wrapped. */
export function rule(policy) {
  let p = policy;
  while (p?.policy?.kind) p = p.policy;
  return p ?? null;
}

/** inWords describes a policy. */
export function inWords(policy) {
  if (!policy) return 'no policy';
  const wrapped = [];
  for (let p = policy; p; p = p.policy) wrapped.push(p.kind);
  const r = rule(policy);
  const share = r.metric !== 'in_flight' && r.metric !== 'rate';
  const says = {
    threshold: () => `: add above ${percent(r.upper)}, remove below ${percent(r.lower)} of ${r.metric ?? 'cpu'}`,
    target: () => `: keep ${{ in_flight: 'requests in flight', rate: 'requests a second' }[r.metric] ?? r.metric} of a node near ${share ? percent(r.value) : figure(r.value)}`,
  }[r.kind]?.() ?? '';
  return `${wrapped.join(' over ')}${says}`;
}

/** elasticityPanel needs the charts, and the pod as it is now. */
export function elasticityPanel(charts, current, changed) {
  let draft = null;
  let editor = null;
  const words = h('p', {});
  const dry = h('p', { class: 'note', hidden: true }, 'Dry run: decisions are recorded and not carried out.');
  const edit = h('button', { type: 'button', onclick: begin }, 'Change');
  const preview = h('p', { class: 'preview', 'aria-live': 'polite' });
  const error = h('ul', { class: 'error', role: 'alert' });
  const number = (name, label) => {
    const input = h('input', { id: `el-${name}`, type: 'number', min: 1, step: 1, oninput: () => { draft[name] = Number(input.value); lines(); } });
    return { input, name, el: h('div', { class: 'field' }, h('label', { for: `el-${name}` }, label), input) };
  };
  const inputs = [number('min', 'Fewest nodes'), number('max', 'Most nodes')];
  const enabled = h('input', { type: 'checkbox', id: 'el-enabled', onchange: () => { draft.enabled = enabled.checked; lines(); } });
  const mode = h('select', { id: 'el-mode', onchange: () => { draft.mode = mode.value; lines(); } }, h('option', { value: 'act' }, 'act: carry decisions out'), h('option', { value: 'dry-run' }, 'dry-run: only record them'));
  const apply = h('button', { class: 'primary', type: 'submit' }, 'Apply');
  const policyBox = h('div', {});
  const form = h('form', { hidden: true, novalidate: true, onsubmit: send },
    h('p', { class: 'help' }, 'Drag the lines in the charts, or use the fields. Nothing changes before you apply it.'),
    h('div', { class: 'check' }, enabled, h('label', { for: 'el-enabled' }, 'The pod grows and shrinks by itself')),
    h('div', { class: 'fields four' }, ...inputs.map((x) => x.el), h('div', { class: 'field' }, h('label', { for: 'el-mode' }, 'Mode'), mode)),
    policyBox, preview, error,
    h('div', { class: 'dialog-foot' }, h('button', { type: 'button', onclick: stop }, 'Cancel'), apply));
  const el = h('section', { class: 'card panel', 'aria-label': 'Elasticity' }, h('div', { class: 'card-head' }, h('h2', {}, 'Elasticity'), edit), words, dry, form);

  async function begin() {
    edit.disabled = true;
    let kinds = new Map();
    try {
      kinds = await policyKinds();
    } catch (err) {
      toast(`The kinds of policies cannot be read: ${err.message}`, 'error');
    }
    edit.disabled = false;
    const e = current()?.status.elasticity;
    if (!e) return;
    draft = { enabled: e.enabled, min: e.min ?? 1, max: e.max ?? current().max_nodes, mode: e.mode || 'act', policy: structuredClone(e.policy ?? { kind: 'threshold', lower: 0.3, upper: 0.7 }) };
    enabled.checked = draft.enabled;
    mode.value = draft.mode;
    editor = policyForm(kinds, (p) => { draft.policy = p; lines(); });
    editor.begin(draft.policy);
    policyBox.replaceChildren(editor.el);
    error.replaceChildren();
    show(form, true);
    show(edit, false);
    lines();
    inputs[0].input.focus();
  }
  function stop() {
    draft = null;
    editor = null;
    policyBox.replaceChildren();
    show(form, false);
    update();
    edit.focus();
  }
  async function send(event) {
    event.preventDefault();
    if (editor.wrong() > 0) {
      form.querySelector('[aria-invalid]')?.focus();
      return;
    }
    const { policy, ...body } = draft;
    const before = current().status.elasticity.policy;
    const patch = before?.kind === policy.kind ? diff(before, policy) : policy;
    if (Object.keys(patch).length > 0) body.policy = patch;
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
    const out = [];
    const add = (panel, scale, name, label, value, text, drag) => {
      if (!Number.isFinite(value)) return;
      out.push({ panel, scale, value, text, label, kind: drag ? `draft ${name}` : name, step: scale === 'cpu' ? 0.01 : 1, min: scale === 'cpu' ? 0 : 1, max: scale === 'cpu' ? 1 : p.max_nodes, drag });
    };
    const rules = (policy, move) => {
      const r = rule(policy);
      if (!r || !['cpu', 'memory', undefined].includes(r.metric)) return;
      const of = r.metric === 'memory' ? ' of memory' : '';
      if (r.kind === 'threshold') {
        for (const name of ['lower', 'upper']) add('cpu', 'cpu', name, move && `${name === 'lower' ? 'Lower' : 'Upper'} threshold`, r[name], `${name} ${percent(r[name])}${of}`, move?.(r, name));
      } else if (r.kind === 'target') add('cpu', 'cpu', 'target', move && 'Target', r.value, `target ${percent(r.value)}${of}`, move?.(r, 'value'));
    };
    if (draft) {
      const move = (object, name) => (v) => { object[name] = v; lines(); };
      add('demand', 'nodes', 'bound', 'Fewest nodes', draft.min, `min ${draft.min}`, move(draft, 'min'));
      add('demand', 'nodes', 'bound', 'Most nodes', draft.max, `max ${draft.max}`, move(draft, 'max'));
      rules(draft.policy, move);
      for (const x of inputs) if (document.activeElement !== x.input) x.input.value = draft[x.name];
      editor.update();
      set(preview, forecast(p, draft, rule(draft.policy), rule(e.policy), charts.shown()));
    } else if (e.enabled) {
      add('demand', 'nodes', 'bound', '', e.min, `min ${e.min}`);
      add('demand', 'nodes', 'bound', '', e.max, `max ${e.max}`);
      rules(e.policy);
    }
    charts.setLines(out);
    charts.draw();
  }

  function update() {
    const e = current().status.elasticity;
    set(words, e.enabled ? `${e.min} to ${plural(e.max, 'node')} by ${inWords(e.policy)}.` : 'Off: the number of nodes is changed by hand.');
    show(dry, e.enabled && e.mode === 'dry-run');
    show(edit, mayChange() && !draft);
    if (!draft) lines();
  }
  return { el, update };
}
