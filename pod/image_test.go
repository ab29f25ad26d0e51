package pod

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPinnedImage(t *testing.T) {
	for _, c := range []struct{ image, digest, want string }{
		{"nginx:1.27", "", "nginx:1.27"},
		{"nginx:1.27", "sha256:aa", "nginx@sha256:aa"},
		{"nginx", "sha256:aa", "nginx@sha256:aa"},
		{"registry.example:5000/shop/web", "sha256:aa", "registry.example:5000/shop/web@sha256:aa"},
		{"registry.example:5000/shop/web:1", "sha256:aa", "registry.example:5000/shop/web@sha256:aa"},
		{"shop/web:1@sha256:bb", "sha256:aa", "shop/web@sha256:aa"},
		{"shop/web@sha256:bb", "sha256:aa", "shop/web@sha256:aa"},
		{"shop/web:1", "id:sha256:aa", "sha256:aa"},
	} {
		assert.Equal(t, c.want, PinnedImage(c.image, c.digest), "%s %s", c.image, c.digest)
	}
	assert.True(t, PinnedByID("id:sha256:aa"))
	assert.False(t, PinnedByID("sha256:aa"))
}

func TestParseNodeKind(t *testing.T) {
	for name, want := range map[string]NodeKind{"": NodeService, "node": NodeService, "job": NodeJob} {
		got, err := ParseNodeKind(name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := ParseNodeKind("cron")
	assert.ErrorContains(t, err, `"cron" is not a kind of node; use "node" or "job"`)
}
