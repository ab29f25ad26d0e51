package wire

// Problem is an error of the API: problem details of RFC 9457, served as
// application/problem+json.
type Problem struct {
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

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"
