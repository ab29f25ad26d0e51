// Charts of a pod: one time axis and one cursor for all of them, and the pod's
// decisions as marks.
import { h, set, show } from './dom.js';
import { clock, figure, percent, seconds } from './format.js';

const HEIGHT = 190;
const NEAR = 8; // pixels from a mark

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Charts draws what a pod's samples say. */
export class Charts {
  #made = [];
  #range = 5 * 60;
  #zoom = null;
  #samples = [];
  #marks = [];
  #lines = [];
  #tip = h('div', { class: 'tip', role: 'status', hidden: true });
  #resize = new ResizeObserver(() => this.#fit());
  #theme = () => this.#make();
  #onzoom;
  #key = `pod-${Math.random()}`;

  constructor(onzoom) {
    this.#onzoom = onzoom;
    this.panels = panels.map((p) => ({ ...p, box: h('div', { class: 'plot' }), note: h('p', { class: 'visually-hidden' }), none: h('p', { class: 'chart-none', hidden: true }, 'Nothing was measured in this time.') }));
    this.el = h('div', { class: 'charts' }, ...this.panels.map((p) => h('figure', { class: 'card chart', 'aria-label': p.title }, h('figcaption', {}, p.title), p.box, p.none, p.note)), this.#tip);
    document.addEventListener('theme', this.#theme);
    this.#resize.observe(this.el);
  }

  end() {
    document.removeEventListener('theme', this.#theme);
    this.#resize.disconnect();
    for (const u of this.#made) u.destroy();
    this.#made = [];
  }

  /** range shows the last so many seconds, live. */
  range(s) {
    this.#range = s;
    this.#zoom = null;
    this.#onzoom(false);
    this.draw();
  }

  /** lines are drawn across: {panel, scale, value, text, kind, drag?, min, max}. */
  setLines(lines) {
    this.#lines = lines;
    for (const u of this.#made) this.#drawLines(u);
  }

  update(samples, marks) {
    this.#samples = samples;
    this.#marks = marks;
    this.draw();
  }

  /** shown returns the samples inside of the time that is shown. */
  shown() {
    const [from, to] = this.#window();
    return this.#samples.filter((x) => x.t / 1000 >= from && x.t / 1000 <= to);
  }

  #window() {
    if (this.#zoom) return this.#zoom;
    const to = (this.#samples.at(-1)?.t ?? Date.now()) / 1000;
    return [to - this.#range, to];
  }

  draw() {
    if (!this.el.isConnected) return;
    if (this.#made.length === 0) this.#make();
    const [from, to] = this.#window();
    const samples = this.#samples;
    let first = samples.findIndex((x) => x.t / 1000 >= from);
    if (first < 0) first = samples.length;
    const part = samples.slice(Math.max(0, first - 1)).filter((x) => x.t / 1000 <= to + 1);
    const step = Math.max(1, Math.floor(part.length / 900));
    const thin = step === 1 ? part : part.filter((_, i) => i % step === 0 || i === part.length - 1);
    const t = thin.map((x) => x.t / 1000);
    this.#made.forEach((u, i) => {
      const p = this.panels[i];
      u.batch(() => {
        u.setData([t, ...p.series.map((x) => thin.map(x.of))], false);
        u.setScale('x', { min: from, max: to });
      });
      show(p.none, !thin.some((x) => p.series.some((y) => y.of(x) !== null && y.of(x) !== undefined)));
      if (t.length > 0 && !(u.cursor.left >= 0)) u.setLegend({ idx: t.length - 1 });
      set(p.note, p.series.map((x) => `${x.label}: ${x.text(samples.at(-1) ? x.of(samples.at(-1)) : null)}`).join(', '));
    });
  }

  #fit() {
    const width = this.panels[0].box.clientWidth;
    for (const u of this.#made) if (width > 0 && u.width !== width) u.setSize({ width, height: HEIGHT });
  }

  #make() {
    for (const u of this.#made) u.destroy();
    const ink = css('--ink-2');
    const grid = { stroke: css('--line'), width: 1 };
    const font = '11px system-ui, sans-serif';
    this.#made = this.panels.map((p) => new uPlot({
      width: Math.max(200, p.box.clientWidth),
      height: HEIGHT,
      padding: [10, p.right ? 0 : 12, 0, 0],
      cursor: {
        sync: { key: this.#key, setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 },
        bind: { dblclick: () => () => { this.range(this.#range); return null; } },
      },
      scales: { x: { time: true, auto: false }, ...Object.fromEntries(p.scales.map((x) => [x.name, { range: (u, lo, hi) => [0, Math.max(x.least, (hi ?? 0) * 1.12, this.#most(p, x.name))] }])) },
      axes: [
        { stroke: ink, grid, ticks: { show: false }, font, size: 30, values: (_, list) => list.map((x) => clock(x * 1000)), space: 72 },
        ...p.scales.map((x, i) => ({ scale: x.name, side: i === 0 ? 3 : 1, stroke: ink, font, size: 52, space: x.whole ? 24 : 30, incrs: x.whole ? [1, 2, 5, 10, 20, 50, 100] : undefined,
          grid: { ...grid, show: i === 0 }, ticks: { show: false }, values: (_, list) => list.map((v) => x.text(v)) })),
      ],
      series: [{ label: 'Time', value: (_, v) => (v === null ? '–' : clock(v * 1000)) }, ...p.series.map((x) => ({
        label: x.label, scale: x.scale ?? p.scales[0].name, stroke: css(x.color), width: x.width ?? 1.75, dash: x.dash,
        fill: x.area ? css(`${x.color}-soft`) : undefined, points: { show: false },
        paths: x.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined, value: (_, v) => x.text(v),
      }))],
      hooks: {
        draw: [(u) => { this.#drawMarks(u); this.#drawLines(u); }],
        setCursor: [(u) => this.#point(u)],
        setSelect: [(u) => this.#select(u)],
      },
    }, [[], ...p.series.map(() => [])], p.box));
    this.#made.forEach((u, i) => { u.panel = this.panels[i]; u.root.setAttribute('aria-hidden', 'false'); });
    this.draw();
  }

  /**
   * most is the highest line of a panel, which has to be inside of the chart. Lines
   * that may be dragged need room for all that they may be, and a scale that does not
   * move below the hand.
   */
  #most(panel, scale) {
    return Math.max(0, ...this.#lines.filter((l) => l.panel === panel.name && l.scale === scale).map((l) => (l.drag ? l.max * (l.max > 1 ? 1.06 : 1) : l.value * 1.15)));
  }

  #drawMarks(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    for (const m of this.#marks) {
      const x = Math.round(u.valToPos(m.t, 'x', true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = css(m.up ? '--grow' : '--shrink');
      ctx.globalAlpha = 0.45;
      ctx.lineWidth = ratio;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      const size = 4.5 * ratio;
      const y = bbox.top;
      ctx.beginPath();
      ctx.moveTo(x - size, y + (m.up ? size : -size));
      ctx.lineTo(x + size, y + (m.up ? size : -size));
      ctx.lineTo(x, y + (m.up ? -size : size));
      ctx.fill();
    }
    ctx.restore();
  }

  #drawLines(u) {
    const mine = this.#lines.filter((l) => l.panel === u.panel?.name);
    u.handles ??= [];
    while (u.handles.length > mine.length) u.handles.pop().remove();
    mine.forEach((l, i) => {
      const handle = u.handles[i] ?? (u.handles[i] = lineHandle(u));
      handle.place(l);
    });
  }

  /** select is told of each chart what was dragged across; the one that is pointed at counts. */
  #select(u) {
    if (u.select.width === 0) return;
    requestAnimationFrame(() => { for (const x of this.#made) x.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); });
    if (u.select.width < 6 || !u.root.matches(':hover')) return;
    this.#zoom = [u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')];
    this.#onzoom(true);
    this.draw();
  }

  #point(u) {
    const { left } = u.cursor;
    if (!u.root.matches(':hover')) return;
    let best = null;
    let far = NEAR;
    if (left >= 0) {
      for (const m of this.#marks) {
        const d = Math.abs(u.valToPos(m.t, 'x') - left);
        if (d < far) [best, far] = [m, d];
      }
    }
    show(this.#tip, best !== null);
    if (!best) return;
    set(this.#tip, `${clock(best.t * 1000)}  ${best.from} → ${best.to}: ${best.text}`);
    const outer = this.el.getBoundingClientRect();
    const box = u.over.getBoundingClientRect();
    const x = Math.min(Math.max(0, box.left - outer.left + left - 140), outer.width - 290);
    this.#tip.style.left = `${Math.max(0, x)}px`;
    this.#tip.style.top = `${box.top - outer.top + 18}px`;
  }
}

/** lineHandle is a line across a chart, which may be dragged or moved by keys. */
function lineHandle(u) {
  const label = h('span', {});
  const el = h('div', { class: 'line' }, label);
  let line = null;
  let dragging = false;
  const moveTo = (value) => {
    const v = Math.min(line.max, Math.max(line.min, Math.round(value / line.step) * line.step));
    line.drag(Number(v.toFixed(4)));
  };
  el.addEventListener('mousedown', (e) => line.drag && e.stopPropagation());
  el.addEventListener('pointerdown', (e) => {
    if (!line.drag) return;
    dragging = true;
    el.setPointerCapture(e.pointerId);
    e.preventDefault();
    el.focus();
  });
  el.addEventListener('pointermove', (e) => {
    if (dragging) moveTo(u.posToVal(e.clientY - u.over.getBoundingClientRect().top, line.scale));
  });
  el.addEventListener('pointerup', () => { dragging = false; });
  el.addEventListener('keydown', (e) => {
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[e.key];
    if (!line.drag || !steps) return;
    e.preventDefault();
    moveTo(line.value + steps * line.step);
  });
  u.over.append(el);
  return {
    remove: () => el.remove(),
    place(l) {
      line = l;
      el.className = `line ${l.kind}${l.drag ? ' drag' : ''}`;
      set(label, l.text);
      el.style.top = `${u.valToPos(l.value, l.scale)}px`;
      if (l.drag) {
        for (const [k, v] of Object.entries({ role: 'slider', tabindex: 0, 'aria-orientation': 'vertical', 'aria-label': l.label, 'aria-valuemin': l.min, 'aria-valuemax': l.max, 'aria-valuenow': l.value, 'aria-valuetext': l.text })) el.setAttribute(k, v);
      } else for (const a of [...el.attributes]) if (a.name.startsWith('aria') || a.name === 'role' || a.name === 'tabindex') el.removeAttribute(a.name);
    },
  };
}

const panels = [
  {
    name: 'demand', title: 'Demand against nodes', right: true,
    scales: [{ name: 'rate', least: 1, text: figure }, { name: 'nodes', least: 2, whole: true, text: (v) => String(v) }],
    series: [
      { label: 'Requests/s', of: (x) => x.rate, text: figure, color: '--demand', area: true },
      { label: 'Nodes online', scale: 'nodes', of: (x) => x.nodes.online, text: figure, color: '--nodes', stepped: true, width: 2.25 },
      { label: 'Wanted', scale: 'nodes', of: (x) => x.want, text: figure, color: '--want', stepped: true, dash: [4, 3], width: 1.5 },
    ],
  },
  {
    name: 'cpu', title: 'CPU, mean of the online nodes',
    scales: [{ name: 'cpu', least: 1, text: percent }],
    series: [{ label: 'CPU', of: (x) => x.cpu, text: percent, color: '--cpu', area: true }, { label: 'Memory', of: (x) => x.memory, text: percent, color: '--memory', dash: [6, 3] }],
  },
  {
    name: 'latency', title: 'Response times',
    scales: [{ name: 'time', least: 0.005, text: seconds }],
    series: [
      { label: 'p50', of: (x) => x.p50, text: seconds, color: '--q1' },
      { label: 'p95', of: (x) => x.p95, text: seconds, color: '--q2', dash: [8, 3] },
      { label: 'p99', of: (x) => x.p99, text: seconds, color: '--q3', dash: [2, 2] },
    ],
  },
  {
    name: 'errors', title: 'Errors and waiting requests', right: true,
    scales: [{ name: 'errors', least: 1, text: figure }, { name: 'waiting', least: 1, text: figure }],
    series: [
      { label: 'Errors/s', of: (x) => x.errors, text: figure, color: '--bad', area: true },
      { label: 'In flight', scale: 'waiting', of: (x) => x.in_flight, text: figure, color: '--q1' },
      { label: 'Waiting', scale: 'waiting', of: (x) => x.waiting, text: figure, color: '--q2', dash: [4, 3] },
    ],
  },
];
