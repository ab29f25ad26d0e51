package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/haproxytech/client-native/v5/configuration"
	"github.com/haproxytech/client-native/v5/configuration/options"
)

// committer brings configurations to their file in transactions, each checked
// with "haproxy -c" before it takes the place of the last.
//
// The library keeps some of what it parses in variables of its package, so that
// only one committer of the program works at a time.
type committer struct {
	conf configuration.Configuration
	path string
	tx   string
}

var library sync.Mutex

func newCommitter(ctx context.Context, c Config) (*committer, error) {
	path, tx := c.path(configFile), c.path("tx")
	k := &committer{path: path, tx: tx}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := k.begin(); err != nil {
			return nil, fmt.Errorf("haproxy: configuration: %w", err)
		}
	}
	// What a crash left behind is of no use: transactions are not resumed.
	if err := errors.Join(os.RemoveAll(tx), os.MkdirAll(tx, 0o700)); err != nil {
		return nil, fmt.Errorf("haproxy: transactions: %w", err)
	}
	library.Lock()
	defer library.Unlock()
	conf, err := configuration.New(ctx,
		options.ConfigurationFile(path),
		options.HAProxyBin(c.Binary),
		options.TransactionsDir(tx),
		options.UsePersistentTransactions,
		options.SkipFailedTransactions,
		options.MasterWorker,
	)
	if err != nil {
		return nil, fmt.Errorf("haproxy: configuration %s: %w", path, err)
	}
	k.conf = conf
	return k, nil
}

// begin writes an empty configuration, on which others can follow.
func (c *committer) begin() error { return os.WriteFile(c.path, []byte("# _version=1\n"), 0o600) }

// commit checks the text and makes it the configuration. On an error the
// configuration is the one that it was.
func (c *committer) commit(text string) error {
	library.Lock()
	defer library.Unlock()
	version, err := c.conf.GetVersion("")
	if err != nil {
		return fmt.Errorf("version of the configuration: %w", err)
	}
	if err := c.conf.PostRawConfiguration(&text, version, false); err != nil {
		c.cleanUp()
		return fmt.Errorf("configuration refused: %w", err)
	}
	// The library does not look whether what it wrote came to the disk.
	saved, err := c.text()
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if want, got := countLines(text), countLines(saved); got != want {
		return fmt.Errorf("configuration: %d lines of %d were written to %s; is its disk full?", got, want, c.path)
	}
	return nil
}

// countLines counts the lines of a configuration that mean something.
func countLines(text string) (n int) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			n++
		}
	}
	return n
}

// cleanUp removes what a transaction that failed leaves behind.
func (c *committer) cleanUp() {
	if ts, err := c.conf.GetTransactions(""); err == nil && ts != nil {
		for _, t := range *ts {
			_ = c.conf.DeleteTransaction(t.ID)
		}
	}
	left, _ := filepath.Glob(filepath.Join(c.tx, "*"))
	for _, p := range left {
		_ = os.RemoveAll(p)
	}
}

// text returns the configuration as it is.
func (c *committer) text() (string, error) {
	data, err := os.ReadFile(c.path)
	return string(data), err
}
