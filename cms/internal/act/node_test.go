package act

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestSecretsAreReadFromWhereTheyComeFrom(t *testing.T) {
	file := t.TempDir() + "/token"
	require.NoError(t, os.WriteFile(file, []byte("from file"), 0o600))
	t.Setenv("CMS_TEST_SECRET", "from env")
	got, err := readSecrets([]pod.Secret{{Name: "a", FromFile: file}, {Name: "b", FromEnv: "CMS_TEST_SECRET"}})
	require.NoError(t, err)
	assert.Equal(t, map[string]pod.SecretValue{"a": pod.SecretValue("from file"), "b": pod.SecretValue("from env")}, got)
	_, err = readSecrets([]pod.Secret{{Name: "a", FromFile: file + ".missing"}})
	require.ErrorContains(t, err, "secret a")
	_, err = readSecrets([]pod.Secret{{Name: "b", FromEnv: "CMS_TEST_SECRET_MISSING"}})
	require.ErrorContains(t, err, "CMS_TEST_SECRET_MISSING")
}
