// What the page knows of the cluster. It is read once, and then follows the
// server's events; everything on the page is drawn from here.
import { get, lines, open, podPath } from './api.js';

const KEPT_EVENTS = 1000;
const KEPT_SAMPLES = 8000; // of a pod whose page is open
const SPARK = 5.5 * 60000; // ms that the lines of the cards go back
const SPARK_STEP = 950; // ms between two of their points, at least
const PAINT = 50; // ms between two drawings, at least
const SHARE = 25; // so many times as long as a drawing took, nothing is drawn
const REREAD = 120; // ms between two readings of what changed, at least
const SILENCE = 20000; // ms after which a connection counts as lost; the server says something each 15 s

export const state = {
  loaded: false,
  cluster: null,
  pods: new Map(),
  hosts: [],
  events: [],
  sparks: new Map(), // of each pod the last minutes in short, oldest first
  samples: new Map(), // of those pods whose page is open, all that was measured, oldest first
  connection: { state: 'connecting', seen: 0, retryAt: 0, error: '' },
};

const listeners = new Set();
let changed = new Set();
let painting = 0;
let painted = 0; // when it was drawn last
let pause = PAINT;
let lastID = '';
let running = null;
let readAt = 0; // server's time, before which no event is news

/** follow calls f with what changed ("pods", "pod:NAME", "events", …) until the function it returns is called. */
export function follow(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

/** touch says that something changed; it is drawn soon, together with other changes. */
export function touch(...what) {
  for (const w of what) changed.add(w);
  if (painting) return;
  painting = setTimeout(() => requestAnimationFrame(paint), Math.max(0, painted + pause - performance.now()));
}

function paint() {
  painting = 0;
  const began = performance.now();
  const now = changed;
  changed = new Set();
  for (const f of listeners) f(now);
  painted = performance.now();
  pause = Math.min(1000, Math.max(PAINT, (painted - began) * SHARE));
}

/** start begins to follow the server; stop ends it. */
export function start() {
  stop();
  running = new AbortController();
  lastID = '';
  run(running.signal);
}

export function stop() {
  running?.abort();
  running = null;
  Object.assign(state, { loaded: false, cluster: null, hosts: [], events: [] });
  for (const map of [state.pods, state.sparks, state.samples]) map.clear();
}

/** retryNow does not wait for the next try. */
export function retryNow() {
  wake?.();
}
let wake = null;

async function run(signal) {
  let delay = 500;
  every(signal, 1000, () => state.connection.state !== 'live' && touch('connection'));
  every(signal, 5000, () => state.connection.state === 'live' && !document.hidden && refreshRest(signal));
  while (!signal.aborted) {
    const began = Date.now();
    try {
      await stream(signal);
      state.connection.error = 'the stream ended';
    } catch (err) {
      if (signal.aborted || err.status === 401) return;
      state.connection.error = err.status ? err.message : 'the server cannot be reached';
    }
    if (signal.aborted) return;
    if (Date.now() - began > 10000 || state.connection.state === 'live') delay = 500;
    state.connection.state = 'lost';
    const wait = delay * (0.8 + Math.random() * 0.4);
    state.connection.retryAt = Date.now() + wait;
    touch('connection');
    await new Promise((done) => {
      wake = done;
      setTimeout(done, wait);
    });
    delay = Math.min(delay * 2, 10000);
  }
}

function every(signal, ms, f) {
  const id = setInterval(f, ms);
  signal.addEventListener('abort', () => clearInterval(id));
}

/** stream reads events until the connection ends or falls silent. */
async function stream(signal) {
  const cut = new AbortController();
  const end = () => cut.abort();
  signal.addEventListener('abort', end);
  const began = Date.now();
  const watch = setInterval(() => Date.now() - Math.max(began, state.connection.seen) > SILENCE && end(), 1000);
  const seen = () => { state.connection.seen = Date.now(); };
  try {
    const answer = await open('GET', `/v1/events?ticks=true&brief=true&after=${lastID || 0}`, undefined, cut.signal);
    seen();
    readAt = Date.parse(answer.headers.get('Date')) - 1000;
    await refresh(cut.signal);
    state.connection.state = 'live';
    for (const list of state.sparks.values()) list.read = false; // something may be missing in between
    touch('connection', 'again');
    let data = '';
    for await (const line of lines(answer, seen)) {
      if (line.startsWith('data: ')) data = line.slice(6);
      else if (line.startsWith('id: ')) lastID = line.slice(4);
      else if (line === '' && data !== '') {
        take(JSON.parse(data));
        data = '';
      }
    }
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', end);
    end();
  }
}

/** refresh reads everything anew. */
export async function refresh(signal) {
  const [cluster, pods, hosts] = await Promise.all([get('/v1/cluster', signal), get('/v1/pods', signal), get('/v1/hosts', signal)]);
  state.cluster = cluster;
  state.hosts = hosts.items;
  const names = new Set(pods.items.map((p) => p.name));
  for (const name of [...state.pods.keys()]) if (!names.has(name)) forget(name);
  for (const p of pods.items) put(p);
  state.loaded = true;
  touch('cluster', 'hosts', 'pods');
}

/** refreshRest reads what no event tells of. */
export async function refreshRest(signal = running?.signal) {
  try {
    const [cluster, hosts] = await Promise.all([get('/v1/cluster', signal), get('/v1/hosts', signal)]);
    state.cluster = cluster;
    state.hosts = hosts.items;
    touch('cluster', 'hosts');
  } catch {
    // the stream tells when the server is away
  }
}

function put(p) {
  if (!state.pods.has(p.name)) touch('pods');
  state.pods.set(p.name, p);
  if (p.status.sample) addSample(p.name, p.status.sample);
  touch(`pod:${p.name}`);
}

function forget(name) {
  for (const map of [state.pods, state.sparks, state.samples]) map.delete(name);
  touch('pods', `pod:${name}`);
}

function addSample(name, sample) {
  const t = Date.parse(sample.at);
  const full = state.samples.get(name);
  if (full && !(full.at(-1)?.t >= t)) {
    full.push({ ...sample, t });
    if (full.length > KEPT_SAMPLES * 1.1) full.splice(0, full.length - KEPT_SAMPLES);
  }
  let spark = state.sparks.get(name);
  if (!spark) state.sparks.set(name, (spark = []));
  if (spark.at(-1)?.t >= t) return;
  if (spark.length > 1 && t - spark.at(-2).t < SPARK_STEP) spark.pop(); // the last of each step stands for it
  spark.push(short(sample, t));
  if (spark[0].t < t - SPARK * 1.2) spark.splice(0, spark.findIndex((x) => x.t >= t - SPARK));
}

const short = (x, t) => ({ t, rate: x.rate, want: x.want, online: x.nodes.online });

/** keepSamples keeps all that is measured of a pod until the function it returns is called. */
export function keepSamples(name) {
  if (!state.samples.has(name)) state.samples.set(name, []);
  return () => state.samples.delete(name);
}

/** loadSamples reads what was measured of a pod, whose samples are kept, before its page was opened. since is a duration. */
export async function loadSamples(name, since, signal) {
  const { items } = await get(`${podPath(name)}/metrics?since=${since}`, signal);
  const kept = state.samples.get(name);
  if (!kept) return;
  const older = items.map((x) => ({ ...x, t: Date.parse(x.at) }));
  const last = older.at(-1)?.t ?? 0;
  state.samples.set(name, [...older, ...kept.filter((x) => x.t > last)].slice(-KEPT_SAMPLES));
  touch(`pod:${name}`);
}

/** loadSpark reads the last minutes of a pod for the line of its card. */
export async function loadSpark(name) {
  const { items } = await get(`${podPath(name)}/metrics?since=${SPARK / 1000}s`, running?.signal);
  const out = [];
  for (const x of items) {
    const t = Date.parse(x.at);
    if (out.length > 1 && t - out.at(-2).t < SPARK_STEP) out.pop();
    out.push(short(x, t));
  }
  const last = out.at(-1)?.t ?? 0;
  const list = [...out, ...(state.sparks.get(name) ?? []).filter((x) => x.t > last)];
  list.read = true;
  state.sparks.set(name, list);
  touch(`pod:${name}`);
}

const stale = new Set();
let reading = 0;
let readLast = 0;

/** reread reads a pod anew, soon, and together with others that changed. */
export function reread(name) {
  stale.add(name);
  if (reading) return;
  reading = setTimeout(async () => {
    reading = 0;
    readLast = performance.now();
    const names = [...stale];
    stale.clear();
    const signal = running?.signal;
    if (!signal) return;
    try {
      if (names.length > 4) await refresh(signal);
      else await Promise.all([...names.map((n) => readPod(n, signal)), refreshRest(signal)]);
    } catch {
      // the next event, or the next connection, tells it anew
    }
  }, Math.max(0, readLast + REREAD - performance.now()));
}

async function readPod(name, signal) {
  if (name === '') return;
  try {
    put(await get(podPath(name), signal));
  } catch (err) {
    if (err.status === 404) forget(name);
    else throw err;
  }
}

/** take is told of each event. */
function take(e) {
  if (e.type === 'tick') {
    const p = state.pods.get(e.pod);
    if (!p) return;
    applyTick(p, e.tick);
    touch(`pod:${e.pod}`, `tick:${e.pod}`);
    document.dispatchEvent(new CustomEvent('tick', { detail: e }));
    return;
  }
  if (e.type === 'reset') {
    refresh(running.signal).catch(() => {});
    return;
  }
  state.events.push(e);
  if (state.events.length > KEPT_EVENTS * 1.1) state.events.splice(0, state.events.length - KEPT_EVENTS);
  touch('events', `events:${e.pod}`);
  if (Date.parse(e.at) < readAt) return; // known already
  const p = state.pods.get(e.pod);
  if (e.type === 'pod.deleted') {
    if (p && Date.parse(p.status.created_at) <= Date.parse(e.at)) forget(e.pod);
    reread('');
  } else if (!e.pod || p || e.type === 'pod.created') reread(e.pod ?? '');
}

function applyTick(p, tick) {
  const st = p.status;
  st.want = tick.want;
  st.reason = tick.reason;
  st.sample = tick.sample;
  st.nodes = tick.sample.nodes;
  if (tick.before !== tick.want) st.last_change = tick;
  addSample(p.name, tick.sample);
}
