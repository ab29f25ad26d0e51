package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/elastipod/elastipod/internal/fault"
	"github.com/elastipod/elastipod/pod"
)

// Prepare implements [pod.Preparer]: it checks that the workload asks for
// nothing that processes cannot have ([pod.ErrUnsupported]) and looks its
// program up ([pod.ErrImage]).
func (r *Runtime) Prepare(ctx context.Context, w pod.Workload, digest string, _ func(pod.Progress)) (pod.Prepared, error) {
	return call(ctx, r, "prepare", func() (p pod.Prepared, err error) {
		if err = unsupported(w, digest); err != nil {
			return p, err
		}
		if _, err = lookPath(w, r.cfg.WorkDir); err != nil {
			return p, err
		}
		_, err = lookUser(w.User)
		return p, err
	})
}

// unsupported names every field that processes cannot honour.
func unsupported(w pod.Workload, digest string) error {
	var f fault.List
	const container = "leave it out, or use hosts that run containers"
	for _, c := range []struct {
		field string
		set   bool
	}{
		{"image", w.Image != ""},
		{"entrypoint", len(w.Entrypoint) > 0},
		{"mounts", len(w.Mounts) > 0},
		{"networks", len(w.Networks) > 0},
		{"extra_hosts", len(w.ExtraHosts) > 0},
		{"cap_add", len(w.CapAdd) > 0},
		{"security", w.Security == pod.SecurityStrict},
		{"digest", digest != ""},
		{"probe.healthcheck", w.Probe.Kind == pod.ProbeHealthcheck},
	} {
		if c.set {
			f.Add("workload."+c.field, container, "cannot be had by a plain process")
		}
	}
	if len(w.Command) == 0 {
		f.Add("workload.command", "name the program to run", "is empty")
	}
	for i, s := range w.Secrets {
		if s.Target != "" && s.Target != "/run/secrets/"+s.Name {
			f.Add("workload.secrets["+strconv.Itoa(i)+"].target", "leave it out: the file is in the directory ELASTIPOD_SECRETS", "cannot be chosen for a plain process")
		}
	}
	if err := f.Err(); err != nil {
		return fmt.Errorf("%w: %w", pod.ErrUnsupported, err)
	}
	return nil
}

// lookPath finds the program of a workload as its node would: in PATH of its
// own environment, relative names from the working directory.
func lookPath(w pod.Workload, workDir string) (string, error) {
	name := w.Command[0]
	paths := []string{name}
	if !strings.Contains(name, "/") {
		paths = nil
		for _, dir := range filepath.SplitList(searchPath(w)) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	problem := errors.New("not found in PATH")
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(workDir, p)
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			if strings.Contains(name, "/") {
				problem = err
			}
		case info.IsDir() || info.Mode()&0o111 == 0:
			problem = &fs.PathError{Op: "execute", Path: p, Err: fs.ErrPermission}
		default:
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: workload.command[0]: program %q: %w", pod.ErrImage, name, problem)
}

func searchPath(w pod.Workload) string {
	if p, ok := w.Env["PATH"]; ok {
		return p
	}
	if p := os.Getenv("PATH"); p != "" {
		return p
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// credential is who a node runs as, where that is not who we are.
type credential struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups"`
	Home   string   `json:"home"`
}

func (c *credential) sys() *syscall.Credential {
	if c == nil {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
}

// lookUser resolves "user[:group]", names or numbers. It returns nil when that
// is empty.
func lookUser(name string) (*credential, error) {
	if name == "" {
		return nil, nil
	}
	refuse := func(problem any) error {
		return fmt.Errorf("%w: workload.user: %v", pod.ErrUnsupported, problem)
	}
	if os.Geteuid() != 0 {
		return nil, refuse("only a manager that is root can run processes as another user")
	}
	userName, groupName, hasGroup := strings.Cut(name, ":")
	c := &credential{Home: "/"}
	u, err := user.Lookup(userName)
	if err != nil {
		u, err = user.LookupId(userName)
	}
	if err == nil {
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c.UID, c.GID, c.Home = uint32(uid), uint32(gid), u.HomeDir
	} else { // a number without an entry, as containers use them
		uid, err := strconv.ParseUint(userName, 10, 32)
		if err != nil {
			return nil, refuse(fmt.Sprintf("this machine has no user %q", userName))
		}
		c.UID, c.GID = uint32(uid), uint32(uid)
	}
	if u != nil && !hasGroup {
		ids, err := u.GroupIds()
		if err != nil {
			return nil, refuse(err)
		}
		for _, id := range ids {
			g, _ := strconv.ParseUint(id, 10, 32)
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	if hasGroup {
		id := groupName
		if g, err := user.LookupGroup(groupName); err == nil {
			id = g.Gid
		}
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, refuse(fmt.Sprintf("this machine has no group %q", groupName))
		}
		c.GID = uint32(gid)
	}
	return c, nil
}

// environment returns the environment of a node.
func environment(q pod.StartRequest, c *credential, ports map[string]int, mark, secrets string) []string {
	w := q.Workload
	home := os.Getenv("HOME")
	if c != nil {
		home = c.Home
	}
	env := q.Env(func(port string) string { return strconv.Itoa(ports[port]) })
	env["PATH"], env[markEnv] = searchPath(w), mark
	if _, set := env["HOME"]; !set && home != "" {
		env["HOME"] = home
	}
	if secrets != "" {
		env["ELASTIPOD_SECRETS"] = secrets
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	return out
}

// writeSecrets writes the secrets of a node, readable by it alone, and returns
// their directory, or "" when there are none. A node that is another user cannot
// get into our directories: its secrets lie in one of its own, in memory where
// the machine has /dev/shm.
func writeSecrets(dir string, c *credential, secrets map[string]pod.SecretValue) (path string, err error) {
	if len(secrets) == 0 {
		return "", nil
	}
	path = filepath.Join(dir, secretDir)
	if c == nil {
		err = os.Mkdir(path, 0o700)
	} else {
		parent := "/dev/shm"
		if _, err := os.Stat(parent); err != nil {
			parent = os.TempDir()
		}
		path = filepath.Join(parent, secretPrefix+random())
		// The link first: who clears up finds by it what else there may be.
		if err := os.Symlink(path, filepath.Join(dir, secretDir)); err != nil {
			return "", err
		}
		err = os.Mkdir(path, 0o700)
	}
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(path)
		}
	}()
	for name, value := range secrets {
		if name != filepath.Base(name) || name == "." || name == ".." {
			return "", fmt.Errorf("secret %q is not a file's name", name)
		}
		file := filepath.Join(path, name)
		if err := os.WriteFile(file, value, 0o400); err != nil {
			return "", err
		}
		if c != nil {
			if err := os.Chown(file, int(c.UID), int(c.GID)); err != nil {
				return "", err
			}
		}
	}
	if c != nil {
		return path, os.Chown(path, int(c.UID), int(c.GID))
	}
	return path, nil
}
