package haproxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/haproxytech/client-native/v5/configuration"
	"github.com/haproxytech/client-native/v5/configuration/options"
)

// library is held while client-native works: it keeps some of what it parses in
// variables of its package.
var library sync.Mutex

// openLibrary opens client-native on a draft, so that it never reads what others
// may have written into the configuration.
func (c Config) openLibrary(ctx context.Context) (configuration.Configuration, error) {
	defer c.removeDraft()
	draft := c.draft()
	err := errors.Join(os.MkdirAll(filepath.Dir(draft), 0o700), os.WriteFile(draft, []byte("# _version=1\n"), 0o600))
	if err != nil {
		return nil, fmt.Errorf("haproxy: draft of a configuration: %w", err)
	}
	library.Lock()
	defer library.Unlock()
	conf, err := configuration.New(ctx,
		options.ConfigurationFile(draft),
		options.HAProxyBin(c.Binary),
		options.TransactionsDir(filepath.Dir(draft)),
		options.UsePersistentTransactions,
		options.SkipFailedTransactions,
		options.MasterWorker,
	)
	if err != nil {
		return nil, fmt.Errorf("haproxy: configuration: %w", err)
	}
	return conf, nil
}

func (c Config) draft() string { return filepath.Join(c.path("tx"), configFile) }

func (c Config) removeDraft() { _ = os.RemoveAll(filepath.Dir(c.draft())) }

// commit checks a configuration with "haproxy -c" and puts it in the place of
// the last. On an error the file is as it was.
func (b *Balancer) commit(text string) error {
	defer b.cfg.removeDraft()
	library.Lock()
	defer library.Unlock()
	if err := b.conf.PostRawConfiguration(&text, 0, true); err != nil {
		return fmt.Errorf("configuration refused: %w", err)
	}
	// The library does not look whether what it wrote came to the disk.
	saved, err := os.ReadFile(b.cfg.draft())
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if want, got := countLines(text), countLines(string(saved)); got != want {
		return fmt.Errorf("configuration: %d lines of %d were written to %s; is its disk full?", got, want, b.cfg.draft())
	}
	return b.cfg.replaceFile(configFile, seal(string(saved)))
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
