// Package process runs nodes as operating-system processes of this machine: the
// embedded default, which needs nothing installed. It is for Linux.
//
// # Supervisors
//
// Each node runs under a small supervisor of its own: the program itself,
// started with the argument vector [Config.Supervisor], whose main function
// calls [Supervise]. The supervisor is in a session of its own and holds no pipe
// of the manager, so that it goes on when the manager ends or is killed. It
// keeps the node's output in two files of at most 1 MiB each, and its exit code;
// it is the reaper of all that the node starts, also of what daemonised itself,
// and once the node's main process has ended, or the node is stopped, it kills
// every descendant. When the supervisor is killed, the kernel kills the main
// process, and the next observation kills the rest, found by a mark in the
// environment (ELASTIPOD_RUN).
//
// # Finding nodes again
//
// Config.Dir holds a directory (mode 0700) for each node, with its state in a
// file that is replaced atomically. Processes are known by pid, start time and
// boot: a pid that another process got is not taken for ours, and a zombie is
// dead. Nodes of another cluster id under the same cluster name are refused with
// [pod.ErrForeign].
//
// # What a node is given
//
// Its environment is the workload's, ELASTIPOD_POD, ELASTIPOD_NODE, ELASTIPOD_RUN,
// PORT and PORT_NAME, ELASTIPOD_SECRETS where there are secrets, and PATH and
// HOME; nothing else of the manager's environment, which may hold secrets. The
// numbers in Workload.Ports are replaced by free ports of [Config.PortMin] to
// [Config.PortMax], no two nodes of this machine getting the same, whichever
// manager started them; nodes are dialled at 127.0.0.1. Secrets are files of
// mode 0400 in the directory ELASTIPOD_SECRETS, under their names. Nodes run with
// no-new-privileges, and as Workload.User when the manager is root. The working
// directory is [Config.WorkDir].
//
// # Limits
//
// Limits of processes are reservations, and the base of fractions: they are not
// enforced, and a node is never killed for its memory but by the machine's own
// OOM killer, which is seen as "killed by signal 9". Run nodes in containers
// where limits must hold.
//
// CPU time is that of the whole process tree, descendants that have ended
// included as soon as their parent has waited for them, in steps of 10 ms.
// Memory is the sum of the tree's anonymous memory: no page of a file or of
// shared memory is counted, and pages that forked processes still share are
// counted in each of them. The supervisor itself is not counted.
package process
