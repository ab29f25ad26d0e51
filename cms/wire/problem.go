package wire

import (
	"strings"
	"time"
)

// Problem is something that is wrong with a pod or the cluster now. Programs go
// by its code, people read its text.
type Problem struct {
	Code  string    `json:"code" doc:"What kind of problem it is." enum:"policy-unusable,start-failed,image-not-found,image-access-denied,start-overdue,crash-loop,no-room,no-room-for-surge,rollout-waits,rollback-failed,host-lost,servers-not-set,front-not-set,front-not-removed,stop-failed,orphan-not-stopped,settings-too-long,store-failed,balancer-unreachable,host-unreachable,host-foreign,balancer-trouble"`
	Pod   string    `json:"pod,omitempty" doc:"The pod that it is about."`
	Node  string    `json:"node,omitempty" doc:"The node that it is about."`
	Host  string    `json:"host,omitempty" doc:"The host that it is about."`
	Front string    `json:"front,omitempty" doc:"The front that it is about."`
	Text  string    `json:"text" doc:"What happened, to which object, and what comes next."`
	Again time.Time `json:"again,omitzero" doc:"When it is tried again; absent where nothing waits for a time."`
}

// Codes of problems that waiting does not end.
const (
	// ProblemImageNotFound says that a pod's image does not exist.
	ProblemImageNotFound = "image-not-found"
	// ProblemImageDenied says that the registry denies access to a pod's image.
	ProblemImageDenied = "image-access-denied"
)

// Hopeless says that waiting will not help: a person must change something.
func (p Problem) Hopeless() bool {
	return p.Code == ProblemImageNotFound || p.Code == ProblemImageDenied
}

// What returns the text without its last part where that says when it is tried
// again, and so is another one each time.
func (p Problem) What() string {
	if end := strings.LastIndex(p.Text, "; "); end >= 0 && !p.Again.IsZero() {
		return p.Text[:end]
	}
	return p.Text
}

// String returns the text, after the pod that it is about.
func (p Problem) String() string {
	if p.Pod == "" {
		return p.Text
	}
	return "pod " + p.Pod + ": " + p.Text
}

// ProblemDetails is an error of the API, as RFC 9457 has it, served as
// application/problem+json.
type ProblemDetails struct {
	Type     string  `json:"type,omitempty" doc:"Always about:blank: the status says what kind of problem it is." format:"uri"`
	Title    string  `json:"title" doc:"The status in words."`
	Status   int     `json:"status" doc:"The HTTP status."`
	Detail   string  `json:"detail" doc:"What is wrong and what to do."`
	Instance string  `json:"instance,omitempty" doc:"The path that was asked for."`
	Errors   []Fault `json:"errors,omitempty" doc:"Everything that is wrong with what was sent."`
}

// Fault is one thing that is wrong with what was sent.
type Fault struct {
	Path    string `json:"path" doc:"The field, such as workload.ports.http."`
	Problem string `json:"problem" doc:"What is wrong."`
	Allowed string `json:"allowed,omitempty" doc:"What would be right."`
}

// ProblemType is the media type of [ProblemDetails].
const ProblemType = "application/problem+json"
