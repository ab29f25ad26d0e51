package boltstore

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// checkPages walks the whole tree and counts its pages. The library's own check
// does it in a goroutine of its own, where a damaged page ends the program.
func checkPages(tx *bolt.Tx) error {
	for _, name := range [][]byte{metaBucket, hostsBucket, podsBucket} {
		if err := checkKeys(tx.Bucket(name)); err != nil {
			return corrupt(fmt.Errorf("%s: %w", name, err))
		}
	}
	page := tx.DB().Info().PageSize
	all := int(tx.Size() / int64(page))
	free := 0
	for id := range all {
		info, err := tx.Page(id)
		if err != nil {
			return err
		}
		if info != nil && info.Type == "free" {
			free++
		}
	}
	s := tx.Cursor().Bucket().Stats() // of all buckets
	used := s.BranchPageN + s.BranchOverflowN + s.LeafPageN + s.LeafOverflowN
	const metas, slack = 2, 1000 // ids of free pages that a list may have had room for
	list := all - metas - used - free
	if most := (16+8*(free+slack))/page + 1; list < 1 || list > most {
		return corrupt(fmt.Errorf("of %d pages %d are in use and %d free", all, used, free))
	}
	return nil
}

// checkKeys finds every key again: a lookup takes another way than a walk.
func checkKeys(b *bolt.Bucket) error {
	var last []byte
	return b.ForEach(func(k, v []byte) error {
		if bytes.Compare(last, k) >= 0 || !bytes.Equal(b.Get(k), v) {
			return errors.New("its keys are out of order")
		}
		last = bytes.Clone(k)
		return nil
	})
}
