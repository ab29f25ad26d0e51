package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// secretMode lets only the node's user read a secret.
const secretMode = 0o400

// maxPasswd bounds what is read of an image's /etc/passwd.
const maxPasswd = 1 << 20

// putSecrets writes a node's secrets into its container, which was created and
// not started: so they are in no argument, variable, label or inspection.
func (r *Runtime) putSecrets(ctx context.Context, id string, s containerSpec) error {
	if len(s.secrets) == 0 {
		return nil
	}
	uid, err := r.userID(ctx, id, s.config.User, s.config.Image)
	if err != nil {
		return fmt.Errorf("find the user that reads secrets: %w", err)
	}
	for _, dir := range slices.Sorted(maps.Keys(s.secrets)) {
		archive, err := secretArchive(s.secrets[dir], uid)
		if err != nil {
			return err
		}
		if err := r.api.CopyToContainer(ctx, id, dir, archive, container.CopyToContainerOptions{}); err != nil {
			return fmt.Errorf("write secrets to %s: %w", dir, err)
		}
	}
	return nil
}

func secretArchive(files []secretFile, uid int) (io.Reader, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: secretMode, Uid: uid, Gid: uid, Size: int64(len(f.content))}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}

// userID returns the number of the user as whom the container will run: the
// workload's, else the image's, looked up in the image where it is a name.
func (r *Runtime) userID(ctx context.Context, id, user, ref string) (int, error) {
	if user == "" {
		found, err := r.api.ImageInspect(ctx, ref)
		if err != nil {
			return 0, err
		}
		if found.Config != nil {
			user = found.Config.User
		}
	}
	user, _, _ = strings.Cut(user, ":")
	if user == "" || user == "root" {
		return 0, nil
	}
	if n, err := strconv.Atoi(user); err == nil {
		return n, nil
	}
	archive, _, err := r.api.CopyFromContainer(ctx, id, "/etc/passwd")
	if errdefs.IsNotFound(err) {
		return 0, nil // the start will say that there is no such user
	}
	if err != nil {
		return 0, err
	}
	defer archive.Close()
	files := tar.NewReader(archive)
	if _, err := files.Next(); err != nil {
		return 0, err
	}
	return passwdID(io.LimitReader(files, maxPasswd), user)
}

// passwdID returns the number of a user in a passwd file; 0 when it has none.
func passwdID(passwd io.Reader, user string) (int, error) {
	lines := bufio.NewScanner(passwd)
	for lines.Scan() {
		if f := strings.Split(lines.Text(), ":"); len(f) > 2 && f[0] == user {
			return strconv.Atoi(f[2])
		}
	}
	return 0, lines.Err()
}
