// Package boltstore is the default store of a manager: one file, written
// through go.etcd.io/bbolt, with one JSON record for each pod and host. A change
// is on the disk, all of it or nothing, when Save returns.
//
// The file is never overwritten when it cannot be understood: a file of a newer
// version and a damaged one are refused and left as they are, for a newer
// program or a person to look at. One of an earlier version is migrated, and the
// file as it was stays beside it. [Store.Backup] copies the store while it is in
// use; copying the file while no manager uses it does the same.
package boltstore
