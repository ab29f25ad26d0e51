// Dialogs: the browser's own, which hold the focus and close with Escape.
import { h } from './dom.js';

let ids = 0;

/** dialog opens a modal dialog and returns it; it is gone once it is closed. */
export function dialog(title, ...content) {
  const id = `dialog-${++ids}`;
  const el = h('dialog', { 'aria-labelledby': id }, h('h2', { id }, title), ...content);
  const before = document.activeElement;
  el.addEventListener('close', () => {
    el.remove();
    if (before?.isConnected) before.focus();
  });
  document.body.append(el);
  el.showModal();
  return el;
}

/**
 * confirm asks before something that cannot be undone, and says whether it may
 * be done. Where danger is a name, it has to be typed.
 */
export function confirm({ title, text, verb, danger }) {
  return new Promise((done) => {
    const go = h('button', { class: danger ? 'danger' : 'primary', type: 'submit' }, verb);
    const cancel = h('button', { type: 'button', onclick: () => el.close() }, 'Cancel');
    const field = danger && h('input', { id: 'confirm-name', autocomplete: 'off', spellcheck: 'false', oninput: () => { go.disabled = field.value !== danger; } });
    if (danger) go.disabled = true;
    const form = h('form', {
      onsubmit(e) {
        e.preventDefault();
        if (go.disabled) return;
        el.returnValue = 'yes';
        el.close('yes');
      },
    },
    h('p', {}, text),
    danger && h('label', { for: 'confirm-name' }, `Type ${danger} to confirm`), field,
    h('div', { class: 'dialog-foot' }, cancel, go));
    const el = dialog(title, form);
    (field || cancel).focus();
    el.addEventListener('close', () => done(el.returnValue === 'yes'));
  });
}
