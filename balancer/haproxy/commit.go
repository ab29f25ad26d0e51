package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(path, []byte("# _version=1\n"), 0o600); err != nil {
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
	return &committer{conf: conf, path: path, tx: tx}, nil
}

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
	return nil
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
