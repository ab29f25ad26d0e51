package crashpoint

// Points returns every point, in the order in which its step passes them. The
// part before the slash names the step.
func Points() []string {
	return []string{
		// A manager starts and takes over what an earlier one left.
		"adopt/loaded",
		"adopt/hosts",
		"adopt/fronts",
		"adopt/loops",

		// A node is added.
		"scale-out/placed",
		"scale-out/recorded",
		"scale-out/prepared",
		"scale-out/started",
		"scale-out/ready",
		"scale-out/online",

		// A node is taken away.
		"scale-in/recorded",
		"scale-in/drained",
		"scale-in/idle",
		"scale-in/stopped",
		"scale-in/forgotten",

		// A node died on its own.
		"replace/recorded",
		"replace/cleaned",

		// A pod is created, changed, deleted.
		"pod-create/claimed",
		"pod-create/fronts",
		"pod-create/saved",
		"pod-create/running",
		"pod-update/fronts",
		"pod-update/saved",
		"pod-update/removed",
		"pod-delete/marked",
		"pod-delete/fronts",
		"pod-delete/saved",

		// What a pod runs is changed.
		"rollout/begun",
		"rollout/step",
		"rollout/done",
		"rollout/back",

		// The balancer is told of servers.
		"serve/decided",
		"serve/applied",

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

// What a manager clears up when it starts after another one that was killed. A
// test leaves one out to show that it is found out.
const (
	// CleanOrphans stops nodes on the hosts that no record knows.
	CleanOrphans = "orphans"
	// CleanSteps goes on with starts and removals that an earlier manager began.
	CleanSteps = "steps"
	// CleanFronts removes fronts of the balancer that no pod has.
	CleanFronts = "fronts"
)

// CleanUps returns all of them.
func CleanUps() []string { return []string{CleanOrphans, CleanSteps, CleanFronts} }
