package serve

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"os"
	"sync"
	"time"
)

// certificate is the certificate of the API. It reads its files again when the
// one of the certificate has changed, so that one that was renewed is used
// without a restart. Where the new one cannot be read, the old one stays.
type certificate struct {
	mu        sync.Mutex
	cert, key string
	read      time.Time // modification of the file that was read last
	loaded    *tls.Certificate
}

func newCertificate(cert, key string) (*certificate, error) {
	c := &certificate{}
	use, err := c.change(cert, key)
	if err != nil {
		return nil, err
	}
	use()
	return c, nil
}

// config is for a server; what it says changes with the certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// change reads other files, or the same ones again. The function that it returns
// makes them be used from the next handshake on.
func (c *certificate) change(cert, key string) (use func(), err error) {
	loaded, read, err := readCertificate(cert, key)
	if err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cert, c.key, c.read, c.loaded = cert, key, read, loaded
	}, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if info, err := os.Stat(c.cert); err != nil || info.ModTime().Equal(c.read) {
		return c.loaded, nil // also where there is no file any more
	}
	if loaded, read, err := readCertificate(c.cert, c.key); err == nil {
		c.loaded, c.read = loaded, read
	}
	return c.loaded, nil
}

func readCertificate(cert, key string) (*tls.Certificate, time.Time, error) {
	info, err := os.Stat(cert) // before it is read: a change in between is seen by the next look
	if err != nil {
		return nil, time.Time{}, err
	}
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, time.Time{}, err
	}
	return &c, info.ModTime(), nil
}

// describeCertificate tells two certificates apart for a person.
func describeCertificate(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	until := ""
	if c.Leaf != nil {
		until = "until " + c.Leaf.NotAfter.UTC().Format(time.DateOnly) + ", "
	}
	return until + "SHA-256 " + hex.EncodeToString(sum[:4])
}
