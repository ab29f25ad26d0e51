package boltstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms/state"
)

// The file: three buckets. The meta bucket holds decimal numbers and the
// cluster's id, the others one JSON record per name. All but the version are
// sealed: a checksum goes before them, as the library has none for what it keeps.
var (
	metaBucket  = []byte("meta")
	hostsBucket = []byte("hosts")
	podsBucket  = []byte("pods")

	schemaKey  = []byte("schema")
	clusterKey = []byte("cluster_id")
	eventKey   = []byte("event_id")
)

// read returns everything, or an error that wraps ErrStoreVersion or
// ErrStoreCorrupt.
func read(tx *bolt.Tx) (state.State, error) {
	if err := checkVersion(tx); err != nil {
		return state.State{}, err
	}
	meta, hosts, pods := tx.Bucket(metaBucket), tx.Bucket(hostsBucket), tx.Bucket(podsBucket)
	if hosts == nil || pods == nil {
		return state.State{}, fmt.Errorf("%w: a part of it is missing", state.ErrStoreCorrupt)
	}
	id, err := unseal(clusterKey, meta.Get(clusterKey))
	if err != nil {
		return state.State{}, fmt.Errorf("%w: the cluster's id: %w", state.ErrStoreCorrupt, err)
	}
	all := state.State{ClusterID: string(id)}
	if all.EventID, err = eventID(meta); err != nil {
		return state.State{}, err
	}
	if all.Hosts, err = records(hosts, "host", func(r state.Host) string { return r.Host.Name }); err != nil {
		return state.State{}, err
	}
	if all.Pods, err = records(pods, "pod", func(r state.Pod) string { return r.Spec.Name }); err != nil {
		return state.State{}, err
	}
	return all, nil
}

func eventID(meta *bolt.Bucket) (uint64, error) {
	sealed := meta.Get(eventKey)
	if sealed == nil {
		return 0, nil
	}
	text, err := unseal(eventKey, sealed)
	if err != nil {
		return 0, fmt.Errorf("%w: its event id: %w", state.ErrStoreCorrupt, err)
	}
	id, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: its event id is %.40q", state.ErrStoreCorrupt, text)
	}
	return id, nil
}

// records returns what is in a bucket, in the order of the names, which is that of
// the keys' bytes.
func records[R any](b *bolt.Bucket, kind string, name func(R) string) (all []R, err error) {
	err = b.ForEach(func(k, v []byte) error {
		var r R
		data, err := unseal(k, v)
		if err == nil {
			err = decode(data, &r)
		}
		if err == nil && name(r) != string(k) {
			err = fmt.Errorf("it names itself %.80q", name(r))
		}
		if err != nil {
			return fmt.Errorf("%w: %s %.80q: %w", state.ErrStoreCorrupt, kind, k, err)
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

// entry is a record ready to be written.
type entry struct {
	name string
	data []byte
}

func encodeChange(c state.Change) (hosts, pods []entry, err error) {
	for _, r := range c.PutHosts {
		e, err := encode(r.Host.Name, r)
		if err != nil {
			return nil, nil, fmt.Errorf("host %q: %w", r.Host.Name, err)
		}
		hosts = append(hosts, e)
	}
	for _, r := range c.PutPods {
		e, err := encode(r.Spec.Name, r)
		if err != nil {
			return nil, nil, fmt.Errorf("pod %q: %w", r.Spec.Name, err)
		}
		pods = append(pods, e)
	}
	return hosts, pods, nil
}

// encode returns the record as it is written, after reading it back: what could
// not be loaded is not saved.
func encode[R any](name string, record R) (entry, error) {
	if name == "" {
		return entry{}, errors.New("it has no name")
	}
	data, err := plainJSON(record) // formulas stay readable
	if err != nil {
		return entry{}, err
	}
	return entry{name: name, data: seal([]byte(name), data)}, decode(data, new(R))
}

// plainJSON marshals without escaping what only matters in HTML.
func plainJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// sealed is how many bytes go before what is sealed: eight hexadecimal digits
// and a blank.
const sealed = 9

// seal puts a checksum of a key and its value before the value.
func seal(key, value []byte) []byte {
	return fmt.Appendf(make([]byte, 0, sealed+len(value)), "%08x %s", checksum(key, value), value)
}

// unseal returns what was sealed, or says that it is not what it was.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) <= sealed {
		return nil, errors.New("it is missing")
	}
	if want := seal(key, value[sealed:]); !bytes.Equal(want[:sealed], value[:sealed]) {
		return nil, errors.New("its checksum is wrong")
	}
	return value[sealed:], nil
}

func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(append(bytes.Clone(key), 0), table), table, value)
}

// decode reads a record. A field that this program doesn't know makes the
// record unreadable: the next write would lose it.
func decode(data []byte, record any) error {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(record); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("something follows the record")
	}
	return nil
}
