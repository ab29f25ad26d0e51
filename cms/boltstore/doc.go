// Package boltstore is the default store of a manager: one file, written
// through go.etcd.io/bbolt, with one JSON record for each pod and host. A change
// is on the disk, all of it or nothing, when Save returns.
//
// A file that cannot be understood is never overwritten: one of another version
// and a damaged one are refused and left as they are, for another program or a
// person to look at. Before version 1.0 of elastipod nothing is migrated: the
// error says how to take over what is set. [Store.Backup] copies the store while
// it is in use; copying the file while no manager uses it does the same.
package boltstore
