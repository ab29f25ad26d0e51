// How figures are written. What was not measured is "–", never 0.

const NONE = '–';
const missing = (x) => x === null || x === undefined || Number.isNaN(x);

/** count is a whole number with separators. */
export const count = (x) => (missing(x) ? NONE : Math.round(x).toLocaleString('en'));

/** figure is a number with about three digits. */
export function figure(x) {
  if (missing(x)) return NONE;
  const a = Math.abs(x);
  if (a === 0) return '0';
  if (a < 0.01) return '<0.01';
  if (a < 10) return String(Number(x.toFixed(2)));
  if (a < 100) return String(Number(x.toFixed(1)));
  return Math.round(x).toLocaleString('en');
}

/** percent of a fraction. */
export const percent = (x) => (missing(x) ? NONE : `${x > 0 && x < 0.095 ? Number((x * 100).toFixed(1)) : Math.round(x * 100)} %`);

/** seconds as a duration for people. */
export function seconds(x) {
  if (missing(x)) return NONE;
  if (x === 0) return '0 ms';
  if (x < 0.001) return `${Math.round(x * 1e6)} µs`;
  if (x < 0.01) return `${Number((x * 1e3).toFixed(1))} ms`;
  if (x < 1) return `${Math.round(x * 1e3)} ms`;
  if (x < 60) return `${Number(x.toFixed(x < 10 ? 1 : 0))} s`;
  return span(x * 1000);
}

/** span of milliseconds: "12 s", "3 min", "2 h 5 min", "4 d". */
export function span(ms) {
  const t = Math.max(0, Math.floor(ms / 1000));
  if (t < 60) return `${t} s`;
  if (t < 3600) return `${Math.floor(t / 60)} min`;
  if (t < 86400) return `${Math.floor(t / 3600)} h ${Math.floor((t % 3600) / 60)} min`;
  return `${Math.floor(t / 86400)} d`;
}

/** ago of a time. */
export function ago(time) {
  if (!time) return '';
  const ms = Date.now() - Date.parse(time);
  return ms < 2000 ? 'now' : `${span(ms)} ago`;
}

/** clock is the time of day. */
export const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

/** stamp is the time of day, with the date where it is not today. */
export function stamp(time) {
  const d = new Date(time);
  const today = d.toDateString() === new Date().toDateString();
  return today ? clock(d) : `${d.toLocaleDateString('en-CA')} ${clock(d)}`;
}

/** bytes with a binary unit. */
export function bytes(x) {
  if (missing(x)) return NONE;
  let unit = 0;
  while (x >= 1024 && unit < 4) {
    x /= 1024;
    unit++;
  }
  return `${unit === 0 || x >= 100 ? Math.round(x) : Number(x.toFixed(1))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

/** digest is short for the content of an image; empty where there is none. */
export const digest = (x) => (x ?? '').replace(/^sha256:/, '').slice(0, 12);

/** plural: "1 node", "3 nodes". */
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
