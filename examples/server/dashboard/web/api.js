// The REST API. The token stays in this tab, and leaves it only in the header
// Authorization: never in an address, so never in a history or a log.

const KEY = 'elastipod-token';
let token = sessionStorage.getItem(KEY) ?? '';

/** needsToken says whether this server asks for a token. */
export const needsToken = document.querySelector('meta[name=elastipod]').content === 'token';

/** who is what the token may do, and its name; "viewer" until it is known. */
export const who = { role: needsToken ? 'viewer' : 'operator', name: '' };
export const mayChange = () => who.role === 'operator';

/** Problem is an error in the words of the API. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.faults = body.errors ?? [];
  }
}

/** signedIn says whether there is a token to try. */
export const signedIn = () => !needsToken || token !== '';

export function signOut() {
  token = '';
  Object.assign(who, { role: needsToken ? 'viewer' : 'operator', name: '' });
  sessionStorage.removeItem(KEY);
}

/** signIn tries a token and keeps it where the server takes it. */
export async function signIn(secret) {
  token = secret;
  try {
    await learnRole();
  } catch (err) {
    token = '';
    throw err;
  }
  sessionStorage.setItem(KEY, secret);
}

/** learnRole finds out what the token may do. */
export async function learnRole() {
  const me = await get('/v1/whoami');
  Object.assign(who, { role: me.role, name: me.name ?? '' });
}

function headers(extra) {
  return token === '' ? extra : { ...extra, Authorization: `Bearer ${token}` };
}

/** open asks and returns the answer, once it is a good one. */
export async function open(method, path, body, signal) {
  const answer = await fetch(path, {
    method,
    signal,
    cache: 'no-store',
    credentials: 'omit',
    redirect: 'error',
    headers: headers(body === undefined ? {} : { 'Content-Type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.ok) return answer;
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // no problem details: the status has to do
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent('signed-out', { detail: problem.detail }));
  throw new Problem(answer.status, problem);
}

/** request asks for JSON. */
export async function request(method, path, body, signal) {
  const answer = await open(method, path, body, signal);
  return answer.json();
}

export const get = (path, signal) => request('GET', path, undefined, signal);

/** podPath is the path of a pod, or of something of it. */
export const podPath = (pod, ...rest) => ['/v1/pods', ...[pod, ...rest].map(encodeURIComponent)].join('/');

/**
 * lines reads an answer as text, line by line, as it comes. seen is told of each
 * part, also of those that hold no whole line.
 */
export async function* lines(answer, seen = () => {}) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      seen();
      const parts = (rest + value).split('\n');
      rest = parts.pop();
      yield* parts;
    }
    if (rest !== '') yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}
