// The frame around the pages: sign-in, navigation, colours, connection.
import { attr, h, set, show, toast } from './dom.js';
import { learnRole, mayChange, needsToken, signIn, signOut, signedIn, who } from './api.js';
import { follow, retryNow, start, state, stop } from './store.js';
import { span } from './format.js';
import { overview } from './overview.js';
import { podPage } from './pod.js';
import { balancerPage } from './balancer.js';
import { eventsPage } from './events.js';

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const whoText = document.getElementById('who');
const signOutButton = document.getElementById('sign-out');
const cluster = document.getElementById('cluster').textContent;
let page = null;

/** route returns the page that the address asks for. */
function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  if (name === '') return { title: 'Overview', open: overview, at: '#/' };
  if (name === 'pods' && rest.length === 1 && rest[0] !== '?') return { title: `Pod ${rest[0]}`, open: () => podPage(rest[0]), at: '' };
  if (name === 'balancer') return { title: 'Balancer', open: balancerPage, at: '#/balancer' };
  if (name === 'events') return { title: 'Events', open: eventsPage, at: '#/events' };
  return { title: 'Not found', open: missing, at: '' };
}

/** decoded is a part of the address as it was meant; what cannot be read stays. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '?';
  }
}

function missing() {
  return { el: h('div', { class: 'empty' }, h('h1', {}, 'There is no such page'), h('p', {}, h('a', { href: '#/' }, 'Back to the overview'))), update() {} };
}

function go(moved) {
  page?.end?.();
  page = null;
  main.replaceChildren();
  show(nav, signedIn());
  showWho();
  if (!signedIn()) {
    signInPage();
    return;
  }
  const r = route();
  document.title = `${r.title} · ${cluster} · elastipod`;
  for (const a of nav.children) a.toggleAttribute('aria-current', false);
  for (const a of nav.children) if (a.getAttribute('href') === r.at) a.setAttribute('aria-current', 'page');
  if (!state.loaded) {
    main.append(loading());
    return;
  }
  page = r.open();
  main.append(page.el);
  page.update(new Set(['all']));
  if (moved) {
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

/** showWho says who is signed in, and what they may do. */
function showWho() {
  const out = !needsToken || !signedIn();
  show(signOutButton, !out);
  show(whoText, !out && who.name !== '');
  set(whoText, who.name);
  attr(whoText, 'title', `Signed in as ${who.name}, ${who.role}`);
}

function loading() {
  return h('div', { class: 'loading', 'aria-busy': 'true' },
    h('h1', { class: 'visually-hidden' }, 'Loading'),
    h('div', { class: 'grid' }, ...Array.from({ length: 3 }, () => h('div', { class: 'card skeleton' }))));
}

function signInPage(why) {
  document.title = `Sign in · ${cluster} · elastipod`;
  const field = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true, spellcheck: 'false', 'aria-describedby': 'token-help token-error' });
  const error = h('p', { id: 'token-error', class: 'error', role: 'alert' }, why ?? '');
  const button = h('button', { class: 'primary', type: 'submit' }, 'Sign in');
  const form = h('form', { class: 'sign-in card', novalidate: true, onsubmit: submit },
    h('h1', {}, `Sign in to ${cluster}`),
    h('label', { for: 'token' }, 'Token'), field,
    h('p', { id: 'token-help', class: 'help' }, 'It stays in this tab and is forgotten when the tab closes.'),
    error, button);
  async function submit(e) {
    e.preventDefault();
    if (field.value === '') {
      set(error, 'Enter the token that you were given.');
      field.focus();
      return;
    }
    button.disabled = true;
    set(error, '');
    try {
      await signIn(field.value.trim());
      begin();
    } catch (err) {
      set(error, err.status ? err.message : 'The server cannot be reached. Try again in a moment.');
      field.focus();
      field.select();
    }
    button.disabled = false;
  }
  main.replaceChildren(form);
  field.focus();
}

const connection = document.getElementById('connection');
const connectionText = document.getElementById('connection-text');
const banner = document.getElementById('banner');
const lostText = h('span', {});
const lost = h('div', { class: 'banner lost' }, lostText, h('button', { type: 'button', onclick: retryNow }, 'Try now'));

function showConnection() {
  const c = state.connection;
  const out = !signedIn();
  show(connection, !out);
  connection.dataset.state = c.state;
  document.body.classList.toggle('stale', c.state === 'lost' && state.loaded && !out);
  if (c.state === 'live') set(connectionText, mayChange() ? 'Live' : 'Live, view only');
  else if (c.state === 'connecting') set(connectionText, 'Connecting');
  else set(connectionText, c.seen ? `Last seen ${span(Date.now() - c.seen)} ago` : 'Not reached');
  if (c.state === 'lost' && !out) {
    const left = Math.max(0, Math.ceil((c.retryAt - Date.now()) / 1000));
    set(lostText, `No connection: ${c.error}. ${state.loaded ? `Figures are ${span(Date.now() - c.seen)} old. ` : ''}${left > 0 ? `Next try in ${left} s.` : 'Trying again…'}`);
    if (!lost.isConnected) banner.append(lost);
  } else if (lost.isConnected) lost.remove();
}

follow((changed) => {
  if (changed.has('connection')) showConnection();
  if (!state.loaded) return;
  if (page) page.update(changed);
  else if (signedIn()) go(false);
});

async function begin() {
  Object.assign(state.connection, { state: 'connecting', seen: 0, error: '' });
  go(false);
  showConnection();
  start();
}

document.addEventListener('signed-out', (e) => {
  if (!needsToken || main.querySelector('.sign-in')) return;
  leave();
  signInPage(e.detail);
});

function leave() {
  stop();
  signOut();
  state.connection.state = 'connecting';
  go(false);
  showConnection();
}

signOutButton.addEventListener('click', leave);
window.addEventListener('hashchange', () => go(true));
window.addEventListener('online', retryNow);
window.addEventListener('unhandledrejection', (e) => {
  if (e.reason?.status || e.reason?.name === 'AbortError') e.preventDefault();
  if (e.reason?.status) toast(e.reason.message, 'error');
});

// Colours: as the system has them, light, dark.
const theme = document.getElementById('theme');
const themes = { '': ['Auto', 'as the system has them'], light: ['Light', 'light'], dark: ['Dark', 'dark'] };
function showTheme() {
  const [name, text] = themes[document.documentElement.dataset.theme ?? ''];
  set(theme, name);
  theme.setAttribute('aria-label', `${name} colours: ${text}`);
}
theme.addEventListener('click', () => {
  const all = Object.keys(themes);
  const next = all[(all.indexOf(document.documentElement.dataset.theme ?? '') + 1) % all.length];
  if (next === '') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem('elastipod-theme');
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem('elastipod-theme', next);
  }
  showTheme();
  document.dispatchEvent(new CustomEvent('theme'));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => document.dispatchEvent(new CustomEvent('theme')));

showTheme();
if (signedIn() && needsToken) learnRole().then(begin, (err) => (err.status === 401 ? leave() : begin()));
else if (signedIn()) begin();
else {
  go(false);
  showConnection();
}
