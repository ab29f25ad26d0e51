package crashpoint

// Calls returns the calls of ports through which the manager changes anything
// outside of its memory.
func Calls() []string {
	return []string{
		"store-load",
		"store-save",
		"runtime-prepare",
		"runtime-start",
		"runtime-stop",
		"balancer-set-front",
		"balancer-remove-front",
		"balancer-apply",
	}
}

// Points returns every point: before and after each of [Calls], and [Steps].
func Points() []string {
	var out []string
	for _, c := range Calls() {
		out = append(out, c+"/before", c+"/after")
	}
	return append(out, Steps()...)
}

// Steps returns the points inside of the backends, in the order in which each
// step, which is the part before the slash, passes them.
func Steps() []string {
	return []string{
		// A change of the store.
		"store-new/written",
		"store-new/linked",
		"store/begun",
		"store/written",
		"store/committed",

		// HAProxy is started.
		"haproxy-start/launched",
		"haproxy-start/answered",

		// HAProxy takes up another configuration.
		"reload/noted",
		"reload/written",
		"reload/held",
		"reload/asked",
		"reload/answered",
		"reload/kept",

		// HAProxy's servers are changed over its socket.
		"servers/added",
		"servers/changed",
		"servers/stopped",
		"servers/removed",

		// A container is made and removed.
		"docker-start/created",
		"docker-start/launched",
		"docker-stop/ended",
		"docker-stop/removed",

		// A process is started and ended.
		"process-start/locked",
		"process-start/prepared",
		"process-start/spawned",
		"process-start/answered",
		"process-stop/ended",
		"process-stop/cleared",
	}
}

// What clears up after a manager that was killed. A test makes these calls do
// nothing, to show that its checks notice.
const (
	// StopOrphan is Stop of a node that the record of its pod does not name.
	StopOrphan = "stop-orphan"
	// RemoveFront is RemoveFront, of any front.
	RemoveFront = "remove-front"
)

// CleanUps returns all of them.
func CleanUps() []string { return []string{StopOrphan, RemoveFront} }
