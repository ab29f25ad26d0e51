package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The kinds of lines of "show stat".
const (
	kindFrontend = "0"
	kindBackend  = "1"
	kindServer   = "2"
)

// row is one line of "show stat", as far as it is used here. A column that is
// empty is 0.
type row struct {
	proxy, name, kind, status, addr string
	qcur, scur                      int
	stot, reqTot, hrsp5xx           uint64
	eresp, srvAbrt                  uint64
}

var errStats = errors.New("haproxy: statistics are not understood")

// parseStats reads the answer to "show stat": a line with the names of the
// columns behind "# ", then one a frontend, backend and server. Lines before the
// names are skipped. An answer without names, or a figure that is none, is an
// error: a value that was not measured is never 0.
func parseStats(out string) ([]row, error) {
	start := strings.Index(out, "# pxname,")
	if start < 0 {
		return nil, fmt.Errorf("%w: no header in %.100q", errStats, out)
	}
	r := csv.NewReader(strings.NewReader(out[start+len("# "):]))
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStats, err)
	}
	column := make(map[string]int, len(header))
	for i, name := range header {
		if _, twice := column[name]; !twice {
			column[name] = i
		}
	}
	last := 0 // column that is needed
	for _, need := range []string{"pxname", "svname", "type", "status", "addr", "qcur", "scur", "stot", "req_tot", "hrsp_5xx", "eresp", "srv_abrt"} {
		i, ok := column[need]
		if !ok {
			return nil, fmt.Errorf("%w: no column %s", errStats, need)
		}
		last = max(last, i)
	}
	var rows []row
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errStats, err)
		}
		if len(rec) <= last {
			return nil, fmt.Errorf("%w: a line has only %d columns", errStats, len(rec))
		}
		row, err := parseRow(rec, column)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}

func parseRow(rec []string, column map[string]int) (row, error) {
	text := func(name string) string { return rec[column[name]] }
	var faults []error
	number := func(name string, bits int) uint64 {
		s := text(name)
		if s == "" {
			return 0
		}
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: %s of %s/%s is %.40q", errStats, name, text("pxname"), text("svname"), s))
		}
		return n
	}
	count := func(name string) uint64 { return number(name, 63) }
	gauge := func(name string) int { return int(number(name, 31)) } // many of them can be added up
	r := row{
		proxy: strings.Clone(text("pxname")), name: strings.Clone(text("svname")), kind: strings.Clone(text("type")),
		status: strings.Clone(text("status")), addr: strings.Clone(text("addr")),
		qcur: gauge("qcur"), scur: gauge("scur"),
		stot: count("stot"), reqTot: count("req_tot"), hrsp5xx: count("hrsp_5xx"),
		eresp: count("eresp"), srvAbrt: count("srv_abrt"),
	}
	return r, errors.Join(faults...)
}

// up says whether a server is up by its status, such as "UP", "UP 1/3",
// "DOWN 1/2", "DRAIN", "NOLB", "MAINT" or "no check".
func (r row) up() bool {
	return strings.HasPrefix(r.status, "UP") || strings.HasPrefix(r.status, "DRAIN") ||
		strings.HasPrefix(r.status, "NOLB") || r.status == "no check"
}
