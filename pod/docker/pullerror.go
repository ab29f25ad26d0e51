package docker

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/elastipod/elastipod/pod"
)

// What engines and registries say of a pull that failed. Engines hand the words
// on and tell little by the status of their answer: Docker 20.10 answers 404 for
// denied, and 500 for nearly all else. The words of one list may be part of
// those of a later one, so they are looked for in this order.
var (
	// passing is what may be over soon.
	passing = regexp.MustCompile(`toomanyrequests|too many requests|rate limit|` +
		`(?:http|status|status code|status:|code:) (?:429|5\d\d)|internal server error|bad gateway|service unavailable|gateway time-?out|` +
		`time-?out|timed out|deadline exceeded|awaiting headers|no such host|server misbehaving|name resolution|` +
		`dial tcp|connection refused|connection reset|broken pipe|no route to host|network is unreachable|\beof\b|` +
		`\btls\b|x509|certificate|server gave http response to https client|proxyconnect|http2|stream error|` +
		`download failed after|verification failed`)
	// local is what happens on the host, whatever is said around it.
	local = regexp.MustCompile(`no space left on device|read-only file system|disk quota exceeded`)
	// denied is what the registry says to whom it does not trust.
	denied = regexp.MustCompile(`denied|unauthorized|no basic auth credentials|authentication required|authorization failed|` +
		`insufficient_scope|401 unauthorized|403 forbidden|http 40[13]|may require 'docker login'`)
	// absent is what is said of an image that there is not.
	absent = regexp.MustCompile(`manifest unknown|manifest_unknown|name unknown|name_unknown|repository name not known|not found|` +
		`http 404|no matching manifest|no match for platform|invalid reference format`)
)

// pullError adds the sentinel that fits what an engine said of a pull. It hands
// on the words alone, as the type of an error may say of the engine what is
// meant of the registry.
func pullError(named reference.Named, ref string, err error) error {
	if disconnected(err) {
		return err
	}
	text := wordsOf(err.Error(), named, ref)
	var kind error
	switch {
	case local.MatchString(text):
		return fmt.Errorf("%s cannot be pulled: %w", ref, err)
	case passing.MatchString(text):
		kind = pod.ErrRegistry
	case denied.MatchString(text), errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		kind = pod.ErrImageDenied
	case absent.MatchString(text), errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err):
		kind = pod.ErrImage
	case unanswered(err):
		return err
	default:
		return fmt.Errorf("%s cannot be pulled: %w", ref, err)
	}
	return fmt.Errorf("%w: %s cannot be pulled: %s", kind, ref, err.Error())
}

// wordsOf returns a text in lower case without names of images and addresses,
// which may hold any words.
func wordsOf(text string, named reference.Named, ref string) string {
	names := []string{ref, named.Name(), named.String(), reference.FamiliarName(named), reference.FamiliarString(named)}
	return strings.ToLower(strings.Join(slices.DeleteFunc(strings.Fields(text), func(word string) bool {
		word = strings.Trim(word, `"',;:()`)
		return strings.Contains(word, "/") && word != "net/http" && word != "i/o" || slices.Contains(names, word)
	}), " "))
}
