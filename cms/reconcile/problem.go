package reconcile

import (
	"fmt"
	"time"
)

// Problem is something that is wrong now: a code for programs, what it is about,
// and when it is tried again.
type Problem struct {
	Code                   Code      // what kind of problem it is
	Pod, Node, Host, Front string    // what it is about, where that applies
	Fault                  Fault     // why
	Count                  int       // how many nodes, or failures in a row; what the sentence says
	Limit                  int       // the setting that the sentence names
	Lasts                  string    // how long, in words, as the sentence says it
	Again                  time.Time // when it is tried again; zero where nothing waits for a time
}

// Code is what kind of problem a [Problem] is.
type Code string

// The kinds of problems of a pod.
const (
	ProblemPolicy    Code = "policy-unusable"     // the pod's policy cannot be made, so the number of nodes is kept
	ProblemStart     Code = "start-failed"        // a node could not be started; it is tried again
	ProblemImage     Code = "image-not-found"     // the image does not exist: starting again will not help
	ProblemDenied    Code = "image-access-denied" // the registry denies access: starting again will not help
	ProblemOverdue   Code = "start-overdue"       // a start takes longer than starts do
	ProblemDeaths    Code = "crash-loop"          // nodes end or hang soon after they are ready
	ProblemRoom      Code = "no-room"             // no host has room for a node
	ProblemSurge     Code = "no-room-for-surge"   // max_nodes leaves no room for all new nodes beside the old ones
	ProblemWaits     Code = "rollout-waits"       // the rollout would stop the only ready node
	ProblemRollback  Code = "rollback-failed"     // the rollout failed, and the pod cannot go back
	ProblemLost      Code = "host-lost"           // a host has been away for long, and others run in place of its nodes
	ProblemServers   Code = "servers-not-set"     // the balancer does not have the servers that it should
	ProblemFront     Code = "front-not-set"       // the balancer does not have a front
	ProblemLeftFront Code = "front-not-removed"   // a front should be gone from the balancer
	ProblemStop      Code = "stop-failed"         // a node cannot be stopped and removed
	ProblemOrphan    Code = "orphan-not-stopped"  // a container or process that no record knows cannot be stopped
	ProblemSettings  Code = "settings-too-long"   // nodes cannot carry the pod's settings
	ProblemStore     Code = "store-failed"        // changes cannot be saved
	ProblemBalancer  Code = "balancer-unreachable"
)

// The kinds of problems of a cluster, beside those of its pods.
const (
	ProblemHost            Code = "host-unreachable" // a host does not answer
	ProblemForeign         Code = "host-foreign"     // a host belongs to another manager
	ProblemBalancerTrouble Code = "balancer-trouble" // the balancer answers, and something is wrong with it
)

// Codes returns the code of every kind of problem.
func Codes() []Code {
	return []Code{
		ProblemPolicy, ProblemStart, ProblemImage, ProblemDenied, ProblemOverdue, ProblemDeaths, ProblemRoom, ProblemSurge,
		ProblemWaits, ProblemRollback, ProblemLost, ProblemServers, ProblemFront, ProblemLeftFront, ProblemStop, ProblemOrphan,
		ProblemSettings, ProblemStore, ProblemBalancer, ProblemHost, ProblemForeign, ProblemBalancerTrouble,
	}
}

// Hopeless says that waiting will not help: a person must change something.
func (c Code) Hopeless() bool { return c == ProblemImage || c == ProblemDenied }

// Sentence says the problem to a person: what happened, to which object, and
// what comes next. now is by the clock of Again.
func (p Problem) Sentence(now time.Time) string {
	text := p.sentence()
	if !p.Again.IsZero() {
		if left := p.Again.Sub(now); left > 0 {
			text += fmt.Sprintf("; the next try is in %s", left.Round(100*time.Millisecond))
		} else {
			text += "; it is tried again now"
		}
	}
	return text
}

func (p Problem) sentence() string {
	switch why := p.Fault.Text; p.Code {
	case ProblemPolicy:
		return "the policy cannot be used, so the number of nodes is kept: " + why
	case ProblemStart, ProblemImage, ProblemDenied:
		return fmt.Sprintf("node %s could not be started on host %s: %s", p.Node, p.Host, why)
	case ProblemOverdue:
		return fmt.Sprintf("node %s has been starting on host %s for longer than %s, so another one is started on another host, where there is room", p.Node, p.Host, p.Lasts)
	case ProblemDeaths:
		return fmt.Sprintf("nodes end or hang within %s of being ready, so others are started ever more seldom; the last, of %d in a row: node %s %s", p.Lasts, p.Count, p.Node, why)
	case ProblemRoom:
		return "cannot start a node: no room: " + why
	case ProblemSurge:
		return fmt.Sprintf("there is room for %s beside the old ones, as max_nodes is %d; the rest will be rolled", plural(p.Count, "new node"), p.Limit)
	case ProblemWaits:
		return fmt.Sprintf("the rollout waits: no host has room for a new node beside the only ready one (%s); make room, or set update.max_unavailable to 1 or more to stop the old node first", why)
	case ProblemRollback:
		return "the rollout failed, and the pod cannot go back: " + why
	case ProblemLost:
		return fmt.Sprintf("host %s has not answered for more than %s, so others run in place of %s there", p.Host, p.Lasts, plural(p.Count, "node"))
	case ProblemServers:
		return fmt.Sprintf("the balancer does not have the servers of front %s that it should: %s", p.Front, why)
	case ProblemFront:
		return fmt.Sprintf("front %s cannot be set: %s", p.Front, why)
	case ProblemLeftFront:
		return fmt.Sprintf("front %s could not be removed from the balancer: %s", p.Front, why)
	case ProblemStop:
		return fmt.Sprintf("node %s cannot be stopped and removed yet: %s", p.Node, why)
	case ProblemOrphan:
		return fmt.Sprintf("node %s runs on host %s and should not, but cannot be stopped: %s", p.Node, p.Host, why)
	case ProblemSettings:
		return "nodes cannot carry the pod's settings, so the pod could not be rebuilt if the store was lost: keep backups; " + why
	case ProblemStore:
		return "nothing can be saved, so nothing is changed: " + why
	case ProblemBalancer:
		return "the balancer does not answer: " + why
	case ProblemHost:
		return fmt.Sprintf("host %s does not answer: %s", p.Host, why)
	case ProblemForeign:
		return fmt.Sprintf("host %s belongs to another manager: %s", p.Host, why)
	case ProblemBalancerTrouble:
		return "the balancer has a problem: " + why
	}
	return p.Fault.Text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
