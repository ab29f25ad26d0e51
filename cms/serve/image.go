package serve

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

// workloadImage is the image of the default pods: this program and nothing else.
// It is built on each engine when a node needs it for the first time, so no
// registry is involved.
type workloadImage struct {
	ref     string // named by its content
	binary  string
	problem error // why it cannot be built

	mu sync.Mutex // one build at a time
}

// imageAlias names the image of whatever server runs the cluster, so that pods of
// one's own can use it.
const imageAlias = "elastipod-workload"

const dockerfile = "FROM scratch\nCOPY server /server\nENTRYPOINT [\"/server\", \"workload\"]\n"

// newWorkloadImage names the image. A program that cannot be its content is told
// about when a node needs it.
func newWorkloadImage(binary string) (*workloadImage, error) {
	f, err := os.Open(binary)
	if err != nil {
		return nil, fmt.Errorf("workload binary: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.WriteString(sum, dockerfile); err != nil {
		return nil, err
	}
	if _, err := io.Copy(sum, f); err != nil {
		return nil, fmt.Errorf("workload binary: %w", err)
	}
	return &workloadImage{
		ref:     imageAlias + ":" + hex.EncodeToString(sum.Sum(nil)[:6]),
		binary:  binary,
		problem: checkStatic(f, binary),
	}, nil
}

// checkStatic says why a program cannot run in an image that holds nothing else.
func checkStatic(r io.ReaderAt, binary string) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return fmt.Errorf("%s is not a Linux program: %w", binary, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically and cannot run in an empty image: build the server with CGO_ENABLED=0, "+
				"or name one that is static with --workload-binary FILE", binary)
		}
	}
	return nil
}

// on returns the runtime of a Docker host on which the image is made when it is
// needed.
func (d *workloadImage) on(rt pod.Runtime, h pod.Host) pod.Runtime {
	return imageRuntime{Runtime: rt, image: d, host: h}
}

type imageRuntime struct {
	pod.Runtime
	image *workloadImage
	host  pod.Host
}

// Extras implements [pod.Runtime].
func (r imageRuntime) Extras() pod.Extras {
	e := r.Runtime.Extras()
	if e.Preparer != nil {
		e.Preparer = imagePreparer{e.Preparer, r}
	}
	return e
}

type imagePreparer struct {
	pod.Preparer
	rt imageRuntime
}

// Prepare implements [pod.Preparer].
func (p imagePreparer) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	if w.Image != p.rt.image.ref && w.Image != imageAlias && w.Image != imageAlias+":latest" {
		return p.Preparer.Prepare(ctx, w, digest, progress)
	}
	if err := p.rt.image.ensure(ctx, p.rt.host, progress); err != nil {
		return pod.Prepared{}, fmt.Errorf("prepare image %s on host %s: %w", w.Image, p.rt.host.Name, err)
	}
	// Each host builds the image for itself and gives it another id, so no digest
	// can pin it for all of them.
	_, err := p.Preparer.Prepare(ctx, w, "", progress)
	return pod.Prepared{}, err
}

// ensure builds the image unless the engine has it.
func (d *workloadImage) ensure(ctx context.Context, h pod.Host, progress func(pod.Progress)) error {
	if d.problem != nil {
		return fmt.Errorf("%w: %w", pod.ErrImage, d.problem)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	content := func(w io.Writer) error { // asked for only where the engine lacks it
		if progress != nil {
			progress(pod.Progress{Message: "building " + d.ref})
		}
		return d.content(w)
	}
	return docker.BuildImage(ctx, h, d.ref, content, imageAlias+":latest")
}

// content writes the build's input: the Dockerfile and the program.
func (d *workloadImage) content(w io.Writer) error {
	f, err := os.Open(d.binary)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		return err
	}
	if _, err := io.WriteString(t, dockerfile); err != nil {
		return err
	}
	// The time is fixed, so that the same program is the same layer.
	if err := t.WriteHeader(&tar.Header{Name: "server", Mode: 0o755, Size: info.Size(), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	if _, err := io.Copy(t, f); err != nil {
		return err
	}
	return t.Close()
}
