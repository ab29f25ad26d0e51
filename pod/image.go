package pod

import "strings"

// imageID begins the digest of an image that comes from no registry.
const imageID = "id:"

// PinnedImage returns the reference by which a host knows an image whose content
// is pinned by a digest, as [Prepared] has it: "name@sha256:…" for an image from
// a registry, and the bare id "sha256:…" for another. It is the image itself
// where the digest is empty.
func PinnedImage(image, digest string) string {
	if digest == "" {
		return image
	}
	if id, ok := strings.CutPrefix(digest, imageID); ok {
		return id
	}
	name, _, _ := strings.Cut(image, "@")
	if tag := strings.LastIndexByte(name, ':'); tag > strings.LastIndexByte(name, '/') {
		name = name[:tag]
	}
	return name + "@" + digest
}

// PinnedByID says whether a digest is the id of an image that comes from no
// registry, so that only a host that has it can run it.
func PinnedByID(digest string) bool { return strings.HasPrefix(digest, imageID) }
