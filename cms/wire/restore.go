package wire

// BackupType is the media type of a backup.
const BackupType = "application/octet-stream"

// Restore is what a restore did, or with dry_run would do.
type Restore struct {
	DryRun    bool     `json:"dry_run" doc:"Nothing was changed."`
	Kept      string   `json:"kept,omitempty" doc:"The copy of the store as it was before, on the server's machine."`
	Hosts     []string `json:"hosts" doc:"Hosts that were added."`
	Created   []string `json:"created" doc:"Pods that were created."`
	Updated   []string `json:"updated" doc:"Pods that were changed."`
	Deleted   []string `json:"deleted" doc:"Pods that are drained and then gone."`
	Unchanged []string `json:"unchanged" doc:"Pods that were as in the backup."`
	Problems  []string `json:"problems" doc:"What could not be done, in sentences; the rest was. Once that is mended, restore again."`
}
