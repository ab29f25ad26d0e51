package wire

// Reload is what a new reading of the server's configuration changes.
type Reload struct {
	DryRun  bool           `json:"dry_run" doc:"Nothing was changed: these are the differences."`
	Changed []ReloadChange `json:"changed" doc:"What differs from the configuration that is in force, in the order of the file."`
	// NeedsRestart are differences that a running server cannot take over. Where
	// there is one, nothing is changed.
	NeedsRestart []ReloadChange `json:"needs_restart" doc:"Differences that only a restart takes over. Where there is one, a reload is refused with 409 and changes nothing."`
}

// ReloadChange is one difference of two configurations.
type ReloadChange struct {
	Path    string `json:"path" doc:"The field, such as log.level, tokens[ops].role or hosts[b]."`
	From    string `json:"from" doc:"What is in force, as text: (none), (secret), (set) and (new) are no values."`
	To      string `json:"to" doc:"What the configuration says now, as text."`
	Applied bool   `json:"applied" doc:"It is in force now; in a dry run: a reload would put it in force."`
	Note    string `json:"note,omitempty" doc:"Why it is not applied and what to do, in a sentence."`
}
