// How a change of what a pod runs goes on: how far it is, what it ran before, and
// the strategy by which its nodes are replaced.
import { h, keyed, set, show, toast } from './dom.js';
import { get, mayChange, podPath, request } from './api.js';
import { badge, meter } from './parts.js';
import { ago, digest, plural, span, stamp } from './format.js';
import { confirm } from './dialog.js';
import { changes, diff, words } from './patch.js';
import { changeUpdate } from './podform.js';
import { table, text } from './table.js';

const KINDS = { progressing: 'starting', paused: 'paused', done: 'online', 'rolled-back': 'failed' };

/** over says that nothing more will come of a rollout. */
export const over = (r) => !r || r.state === 'done' || r.state === 'rolled-back';

const named = (number) => `revision ${number}`;

/** strategyText says how nodes are replaced. */
export function strategyText(u = {}) {
  const parts = [u.strategy || 'rolling', `at most ${u.max_surge ?? 1} more and ${u.max_unavailable ?? 0} fewer nodes than wanted`];
  if (u.min_ready) parts.push(`a new node must be online for ${u.min_ready}`);
  if (u.steps?.length) parts.push(u.steps.map((s) => `${s.weight} %${s.pause ? ` for ${s.pause}` : ''}`).join(', then '));
  const back = (u.failures ?? 3) > 0 ? `back after ${plural(u.failures ?? 3, 'new node')} that failed` : 'never back by itself for nodes that fail';
  parts.push(u.max_errors > 0 && u.max_errors < 1 ? `${back}, or ${Number((u.max_errors * 100).toPrecision(3))} % of failed requests` : back);
  return `${parts.join('; ')}.`;
}

/** rolloutPanel needs the pod as it is now, and is told how to read it anew. */
export function rolloutPanel(name, current, reread) {
  const mark = badge();
  const path = h('p', {});
  const reason = h('p', { class: 'reason' });
  const bar = meter('New nodes');
  const facts = h('p', { class: 'sub' });
  const steps = h('ol', { class: 'rollout-steps', 'aria-label': 'Steps of the canary' });
  const status = h('div', { class: 'rollout', role: 'status' }, path, bar.el, steps, facts, reason);
  const none = h('p', { class: 'sub' }, 'It never ran anything else.');
  const strategy = h('p', { class: 'sub' });

  const act = (label, props, f) => h('button', { type: 'button', ...props, onclick: (e) => run(e.currentTarget, f) }, label);
  const pause = act('Pause rollout', {}, async () => {
    await request('POST', podPath(name, 'rollout', 'pause'));
    toast(`The rollout of ${name} is paused.`);
  });
  const resume = act('Resume rollout', { class: 'primary' }, async () => {
    await request('POST', podPath(name, 'rollout', 'resume'));
    toast(`The rollout of ${name} goes on.`);
  });
  const undo = act('Undo', {}, () => {
    const r = current().status.rollout;
    return back(r.from === current().status.revision ? r.to : r.from, {});
  });
  const settings = act('Strategy', {}, () => changeUpdate(current()));
  const buttons = h('div', { class: 'actions', role: 'group', 'aria-label': `Rollout controls of ${name}` }, pause, resume, undo, settings);

  /** back asks, and makes the pod run another revision. */
  async function back(to, body) {
    if (!await confirm({ title: `Run ${named(to)} again?`, text: `The nodes of ${name} are replaced as its strategy says, and finish the requests that they have. A rollout that is under way ends.`, verb: 'Run it again' })) return;
    await request('POST', podPath(name, 'rollout', 'undo'), body);
    toast(`Pod ${name} changes to ${named(to)}.`);
  }
  async function run(button, f) {
    button.disabled = true;
    try {
      await f();
      reread();
      if (history.open) read();
    } catch (err) {
      if (err.name !== 'AbortError') toast(err.message, 'error');
    }
    button.disabled = false;
  }

  const revisions = table(`Revisions of ${name}`, [
    { name: 'Revision', of: (x) => x.number, head: true, cell: () => text((x) => `${x.number}${x.current ? ' (current)' : ''}`) },
    { name: 'Set', right: true, of: (x) => -Date.parse(x.at), cell: () => text((x) => stamp(x.at)) },
    { name: 'What changed', of: (x) => x.what, wide: true },
    { name: 'Image', of: (x) => digest(x.digest) || '–' },
    { name: 'Reason', of: (x) => x.reason ?? '', wide: true },
    { name: 'Actions', hidden: true, cell: revisionActions },
  ], (x) => x.number);
  const failed = h('p', { class: 'error' });
  const history = h('details', { ontoggle: () => history.open && read() }, h('summary', {}, 'What it ran'), failed, revisions.el);
  function revisionActions() {
    let to = 0;
    const button = act('Run again', { class: 'small' }, () => back(to, { revision: to }));
    return {
      el: h('div', { class: 'row-actions' }, button),
      update(x) {
        to = x.number;
        button.setAttribute('aria-label', `Run revision ${x.number} again`);
        show(button, mayChange() && !x.current && current()?.status.state !== 'deleting');
      },
    };
  }
  async function read() {
    try {
      const { revisions: all } = await get(podPath(name, 'rollout'));
      const of = (r) => ({ workload: r.workload, limits: r.limits });
      revisions.update(all.map((r, i) => ({
        ...r,
        what: i === 0 ? r.workload.image || r.workload.command?.join(' ') || '' : changes(of(all[i - 1]), diff(of(all[i - 1]), of(r)))
          .map(([at, was, now]) => `${at.replace(/^workload\./, '')}: ${words(was)} → ${words(now)}`).join(', '),
      })));
      set(failed, '');
    } catch (err) {
      set(failed, err.message);
    }
  }

  const el = h('section', { class: 'card panel', 'aria-label': 'Rollout' },
    h('div', { class: 'card-head' }, h('div', { class: 'name' }, h('h2', {}, 'Rollout'), mark.el), buttons), none, status, strategy, history);

  let seen = '';
  function update() {
    const p = current();
    const st = p.status;
    const r = st.rollout;
    show(mark.el, Boolean(r));
    show(status, Boolean(r));
    show(none, !r);
    set(strategy, `Strategy: ${strategyText(p.update)}`);
    show(buttons, mayChange() && st.state !== 'deleting');
    show(pause, r?.state === 'progressing');
    show(resume, r?.state === 'paused');
    show(undo, Boolean(r));
    const now = `${r?.to} ${r?.state}`;
    if (history.open && seen !== now) read();
    seen = now;
    if (!r) return;
    set(undo, r.from === st.revision ? 'Try again' : 'Undo');
    mark.update(r.state, KINDS[r.state] ?? 'free');
    set(path, `From ${named(r.from)} to ${named(r.to)}, ${r.strategy}${over(r) ? '' : stepText(r)}.`);
    bar.update(st.want > 0 ? r.ready / st.want : 0, `${r.new} of ${st.want} new, ${r.ready} ready · ${r.old} old`, st.want > 0 ? r.new / st.want : 0);
    set(facts, [
      r.ended_at ? `Took ${span(Date.parse(r.ended_at) - Date.parse(r.started_at))}, ended ${ago(r.ended_at)}` : `Began ${ago(r.started_at)}`,
      r.failures ? `${plural(r.failures, 'new node')} failed` : '',
    ].filter(Boolean).join(' · '));
    set(reason, r.reason ?? '');
    const all = r.strategy === 'canary' && !over(r) ? (p.update?.steps ?? []) : [];
    show(steps, all.length > 0);
    keyed(steps, all.map((s, i) => ({ ...s, i, now: i === (r.step ?? 0), done: i < (r.step ?? 0) })), (s) => s.i, () => {
      const li = h('li', {});
      return {
        el: li,
        update(s) {
          set(li, `${s.done ? '✓ ' : ''}${s.weight} %${s.pause ? ` for ${s.pause}` : ''}`);
          if (s.now) li.setAttribute('aria-current', 'step');
          else li.removeAttribute('aria-current');
        },
      };
    });
  }
  return { el, update };
}

/** stepText says which step a rollout is at. */
function stepText(r) {
  if (r.strategy === 'canary') return r.step < r.steps || r.step === undefined ? `: step ${(r.step ?? 0) + 1} of ${r.steps}, new nodes get ${r.weight} % of the requests` : ': all steps passed, the other nodes are replaced';
  if (r.strategy === 'blue-green') return r.step ? ': changed over, old nodes are removed' : ': new nodes get no requests yet';
  return '';
}
