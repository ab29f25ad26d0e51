package wire

// List is a list of things, or a page of it.
type List[T any] struct {
	Items []T `json:"items" doc:"The things, in the order that the operation tells."`
	// Next is empty at the end; otherwise the same request with after=Next
	// answers with what follows.
	Next string `json:"next" doc:"Empty at the end; otherwise ask again with after=NEXT for what follows."`
}
