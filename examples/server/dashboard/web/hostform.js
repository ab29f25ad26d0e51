// The forms that add a host and change its settings.
import { toast } from './dom.js';
import { request } from './api.js';
import { confirm } from './dialog.js';
import { settingsForm } from './form.js';
import { changes, diff, words } from './patch.js';
import { refreshRest } from './store.js';
import { plural } from './format.js';

const fields = [
  { path: 'name', label: 'Name' },
  { path: 'runtime', label: 'Runtime', options: ['docker', 'process'], required: true },
  { path: 'address', label: 'Address' },
  { path: 'address_mode', label: 'Address of nodes', options: ['auto', 'container', 'published'] },
  { path: 'capacity.cpu', label: 'CPU capacity, cores', number: true },
  { path: 'capacity.memory', label: 'Memory capacity' },
  { path: 'cpu_overcommit', label: 'CPU overcommit', number: true },
  { path: 'bind', label: 'Bind' },
  { path: 'advertise', label: 'Advertise' },
  { path: 'tls.ca', label: 'TLS: certificate authority', help: 'PEM file on the server, for tcp addresses.' },
  { path: 'tls.cert', label: 'TLS: certificate', help: 'PEM file on the server.' },
  { path: 'tls.key', label: 'TLS: key', help: 'PEM file on the server.' },
];

export const hostPath = (name) => `/v1/hosts/${encodeURIComponent(name)}`;

/** newHost asks for the settings of a host and adds it. */
export function newHost() {
  return settingsForm({
    title: 'Add a host', verb: 'Add', prefix: 'host', schema: 'Host', fields, value: { name: '', runtime: 'docker' },
    async send(body) {
      const made = await request('POST', '/v1/hosts', body);
      await refreshRest();
      toast(`Host ${made.name} was added.`);
    },
  });
}

/**
 * changeHost asks for other settings. The API changes a host only by removing and
 * adding it, which moves its nodes: that is said, and asked for once more.
 */
export function changeHost(host) {
  const { status, ...before } = host;
  const again = (patch) => Object.keys(patch).some((name) => name !== 'cordoned');
  return settingsForm({
    title: `Settings of host ${host.name}`, verb: 'Apply', prefix: 'host', schema: 'Host', value: before,
    fields: fields.map((f) => (f.path === 'name' ? { ...f, fixed: true, help: 'To rename a host, remove it and add another.' } : f)),
    about(body) {
      const patch = diff(before, body);
      const list = changes(before, patch).map(([path, was, now]) => `${path}: ${words(was)} → ${words(now)}`);
      if (list.length === 0) return ['Nothing differs from what the host has.'];
      if (again(patch)) list.push(`The host is removed and added again${status.nodes > 0 ? `; its ${plural(status.nodes, 'node')} move to other hosts first` : ''}.`);
      return list;
    },
    async send(body) {
      const patch = diff(before, body);
      if (Object.keys(patch).length === 0) return undefined;
      if (!again(patch)) await request('PATCH', hostPath(host.name), patch);
      else {
        if (!await confirm({ title: `Remove ${host.name} and add it again?`, text: 'Until it answers with the new settings it has no nodes. If it does not answer, it stays removed.', verb: 'Remove and add' })) return false;
        await replace(host, body);
      }
      await refreshRest();
      toast(`The settings of host ${host.name} were changed.`);
      return undefined;
    },
  });
}

/** replace removes a host and adds it with other settings, or with those it had. */
async function replace(host, body) {
  const { status, ...before } = host;
  const answer = await request('DELETE', `${hostPath(host.name)}?drain=true&wait=5m`);
  if (answer.status?.draining && answer.status.nodes > 0) throw new Error(`Its nodes did not leave in time; host ${host.name} is still draining. Add it again once it is gone.`);
  try {
    await request('POST', '/v1/hosts', body);
  } catch (err) {
    await request('POST', '/v1/hosts', before).catch(() => {});
    await refreshRest();
    throw err;
  }
}

/** removeHost asks, and removes a host, its nodes first. */
export async function removeHost(host) {
  const { nodes } = host.status;
  const sure = await confirm({
    title: `Remove host ${host.name}?`, danger: host.name, verb: nodes > 0 ? 'Drain and remove' : 'Remove',
    text: nodes > 0
      ? `Its ${plural(nodes, 'node')} move to other hosts, each once a new one takes requests; then it is removed. This cannot be undone, but the host can be added again.`
      : 'It has no nodes. Its settings are forgotten; it can be added again.',
  });
  if (!sure) return;
  await request('DELETE', `${hostPath(host.name)}${nodes > 0 ? '?drain=true' : ''}`);
  await refreshRest();
  toast(nodes > 0 ? `Host ${host.name} is being drained.` : `Host ${host.name} is being removed.`);
}
