package serve

import (
	"crypto/tls"
	"os"
	"sync"
	"time"
)

// reloadingTLS reads the certificate again when its file has changed, so that
// one that was renewed is used without a restart. Where the new one cannot be
// read, the old one stays.
func reloadingTLS(cert, key string) (*tls.Config, error) {
	r := &reloader{cert: cert, key: key}
	if _, err := r.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: r.get}, nil
}

type reloader struct {
	cert, key string

	mu     sync.Mutex
	read   time.Time // modification of the file that was read last
	loaded *tls.Certificate
}

func (r *reloader) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.cert)
	if err == nil && r.loaded != nil && info.ModTime().Equal(r.read) {
		return r.loaded, nil
	}
	var c tls.Certificate
	if err == nil {
		c, err = tls.LoadX509KeyPair(r.cert, r.key)
	}
	if err != nil {
		if r.loaded != nil {
			return r.loaded, nil
		}
		return nil, err
	}
	r.loaded, r.read = &c, info.ModTime()
	return r.loaded, nil
}
