// Package docker runs nodes as containers of a Docker Engine, on this machine or
// another: [New] opens a [Runtime] for one cluster on one host, over a unix
// socket, tcp with mutual TLS, or ssh.
//
// # Engines
//
// The version of the API is negotiated; engines from Docker 20.10 on (API 1.41)
// are meant to work and older ones are refused. The package's tests really ran
// on Docker Engine 20.10.24 with cgroup v1 (cgroupfs driver). Other versions are
// untested; so are cgroup v2 and the systemd driver, but for recorded files and
// samples, Docker Desktop, rootless engines and Podman.
//
// By ssh, the remote host needs the docker command, and each connection at a
// time costs an ssh process on both sides: a few for calls, one for events and
// one for each running node, whose statistics are streamed. Prefer TLS where
// there are dozens of nodes. The system's ssh configuration, agent and known
// hosts are used; ssh never asks for anything.
//
// # Containers
//
// A node's container is named "cluster.pod.node" and labelled with cluster,
// cluster id, kind, pod, node, revision and ports; a runtime leaves alone what
// does not have that name and its cluster's labels. It has:
//
//   - limits: CPU, memory (without swap on top), processes;
//   - no-new-privileges, and Docker's default capabilities less NET_RAW, MKNOD
//     and AUDIT_WRITE, so that images which start as root, change owners, bind
//     port 80 and become another user work; with [pod.SecurityStrict] no
//     capability and a read-only root with a small tmpfs on /tmp;
//   - restart policy "no", and no health check of the engine's: the manager
//     restarts and probes;
//   - output in json-file, 16 MiB at most;
//   - the image's own first process: images that bring an init system insist on
//     being process 1, so no init is put before it;
//   - its secrets as files of mode 0400 that belong to its user, in an anonymous
//     volume on the directory of each, written before the start. They appear in
//     no environment, label or inspection and are removed with the node. What
//     the image has in such a directory stays there.
//
// # Images
//
// A revision's image is pinned when it is resolved first. The digest of an image
// from a registry is the one in its repository ("sha256:…"); a node then runs the
// container image "name@sha256:…", which the engine pulls where it lacks it,
// whatever the tag means by then. An image that was built or loaded on the host
// has no such digest in the engine's own image store and is pinned by its id
// ("id:sha256:…"); other hosts refuse it with [pod.ErrImageElsewhere] until it is
// loaded there. With the containerd image store engines show a digest for these
// images too, so that another host asks the registry and returns [pod.ErrImage]
// or [pod.ErrImageDenied]. Both stores are written for; the tests run on the
// engine's own.
//
// Engines answer little but words when a pull fails. They are sorted into
// [pod.ErrImage], [pod.ErrImageDenied] and, for all that may pass,
// [pod.ErrRegistry]; Docker Hub says of a private repository and of one that does
// not exist that access is denied. A full disk is the engine's own error.
//
// # Paused containers
//
// A container that somebody paused is a frozen node; Watch tells of pause and
// unpause. No health check runs meanwhile: [pod.Node].Health is unknown then, and
// after it goes on what its checks said before counts until the next one. The
// engine itself calls such a container unhealthy.
//
// # Addresses
//
// Which address of a node is dialled is [pod.Host].AddressMode:
//
//   - container: the container's own address on the engine's default bridge.
//     Nothing is published. Only this machine can dial it.
//   - published: each port is published on an ephemeral port of Bind and dialled
//     at Advertise (default: Bind, or the host's address where that is 0.0.0.0).
//   - auto (the default): container where the engine is on this machine and one
//     of this machine's addresses is on the bridge's subnet, published otherwise:
//     for remote hosts, for an engine in a virtual machine or rootless, and
//     where this program runs in a network of its own.
//
// What happens to running nodes when the engine dies (SIGKILL) and comes back,
// as the tests check it:
//
//	dockerd's flags                        | container address | published port      | afterwards
//	none                                   | answers           | dead                | stopped
//	--live-restore                         | answers           | dead until it is back | running
//	--live-restore --userland-proxy=false  | answers           | answers             | running
//
// An engine that ends in order (SIGTERM) without --live-restore stops its
// containers. So use --live-restore, and container addresses where the balancer
// shares the host.
//
// # Measurements
//
// An observation is one list of containers plus an inspection of each that is
// new or changed its state. Usage never waits for a sample: where the engine is
// here it is read from cgroup files, elsewhere from a stream of statistics per
// node that the runtime keeps open; for a second or two after a node's start it
// is not known then. Use of the host's CPU, memory and disk is known only where
// the engine is here.
package docker
