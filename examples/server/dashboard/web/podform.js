// The forms that create a pod and change its settings.
import { toast } from './dom.js';
import { podPath, request } from './api.js';
import { settingsForm } from './form.js';
import { changes, diff, words } from './patch.js';
import { refresh, reread } from './store.js';
import { plural } from './format.js';

const fields = [
  { path: 'name', label: 'Name' },
  { path: 'kind', label: 'Kind', options: ['service', 'job'] },
  { path: 'workload.image', label: 'Image' },
  { path: 'workload.command', label: 'Command, one argument a line', lines: true },
  { path: 'workload.ports.http', label: 'Port of the workload', number: true, help: 'The TCP port on which it listens, named "http".' },
  { path: 'workload.probe.http', label: 'Probe path' },
  { path: 'limits.cpu', label: 'CPU limit of a node, cores', number: true },
  { path: 'limits.memory', label: 'Memory limit of a node' },
  { path: 'max_nodes', label: 'Most nodes', number: true },
  { path: 'fronts.0.listen', label: 'Front', help: 'IP address and port on which requests are taken, such as 127.0.0.1:5100.' },
  { path: 'drain', label: 'Drain' },
  { path: 'security', label: 'Security', options: ['default', 'strict'] },
];

/** newPod asks for the settings of a new pod, and leads to its page. */
export function newPod() {
  return settingsForm({
    title: 'New pod', verb: 'Create', prefix: 'pod', schema: 'Pod', fields, value: { name: '', workload: {} }, keep: ['workload'],
    async send(body) {
      const made = await request('POST', '/v1/pods', body);
      await refresh();
      toast(`Pod ${made.name} was created.`);
      location.hash = `#/pods/${made.name}`;
    },
  });
}

const updateFields = [
  { path: 'update.strategy', label: 'Strategy', options: ['rolling', 'blue-green', 'canary'] },
  { path: 'update.max_surge', label: 'More nodes than wanted', number: true },
  { path: 'update.max_unavailable', label: 'Fewer ready nodes than wanted', number: true },
  { path: 'update.min_ready', label: 'Online before an old one goes' },
  { path: 'update.failures', label: 'New nodes that may fail', number: true },
  { path: 'update.max_errors', label: 'Requests that may fail, a fraction', number: true },
  ...[0, 1, 2].flatMap((i) => [
    { path: `update.steps.${i}.weight`, label: `Canary's step ${i + 1}, % of requests`, number: true },
    { path: `update.steps.${i}.pause`, label: `Canary's step ${i + 1}, how long` },
  ]),
];

/** changeUpdate asks how the nodes of a pod are to be replaced. */
export const changeUpdate = (pod) => change(pod, `Strategy of ${pod.name}`, 'update', updateFields);

/** changePod asks for other settings of a pod, says what they would do, and sends what differs. */
export const changePod = (pod) => change(pod, `Settings of ${pod.name}`, 'pod',
  fields.map((f) => (f.path === 'name' ? { ...f, fixed: true, help: 'Pods cannot be renamed.' } : f)));

function change(pod, title, prefix, shown) {
  const { status, ...before } = pod;
  return settingsForm({
    title, verb: 'Apply', prefix, schema: 'Pod', value: before, keep: ['workload'], fields: shown,
    about(body) {
      const patch = diff(before, body);
      const list = changes(before, patch).map(([path, was, now]) => `${path}: ${words(was)} → ${words(now)}`);
      if (list.length === 0) return ['Nothing differs from what the pod has.'];
      const nodes = status.nodes.online + status.nodes.starting;
      if ((patch.workload || patch.limits || patch.security) && nodes > 0) list.push(`Its ${plural(nodes, 'node')} will be replaced, ${before.update?.strategy ?? 'rolling'}: see Rollout on its page.`);
      if (patch.fronts) list.push('A front that is taken away gets nothing new, and has the drain to finish what it has.');
      return list;
    },
    async send(body) {
      const patch = diff(before, body);
      if (Object.keys(patch).length === 0) return;
      await request('PATCH', podPath(pod.name), patch);
      reread(pod.name);
      toast(`The settings of ${pod.name} were changed.`);
    },
  });
}
