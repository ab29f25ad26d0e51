package api

import "net/http"

// answered passes one head on: of a client that goes away amid an answer, huma
// sets the status once more, which net/http would complain about.
type answered struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for [http.ResponseController].
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader passes the first status on that is not of an interim answer.
func (a *answered) WriteHeader(status int) {
	if a.begun {
		return
	}
	a.begun = status >= http.StatusOK || status == http.StatusSwitchingProtocols
	a.ResponseWriter.WriteHeader(status)
}

// Write begins the answer, where nothing has.
func (a *answered) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}
