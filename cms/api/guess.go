package api

import (
	lru "container/list"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// guessBurst is how many wrong tokens an address may send at once, and
	// guessEvery the time after which it may send one more.
	guessBurst = 10
	guessEvery = 5 * time.Second
	// guessAddresses bounds the addresses that are remembered; the one that was
	// quiet for the longest goes first.
	guessAddresses = 4096
	guessTokens    = 64 // that are remembered of an address
)

// guesses slows down who tries tokens. From an address that sent too many wrong
// ones, only tokens that were right from there before are still accepted. So a right
// guess does not show, and somebody behind the same proxy cannot lock out those who
// know a token.
type guesses struct {
	mu        sync.Mutex
	byAddress map[netip.Prefix]*lru.Element
	recent    *lru.List // of *guesser, the one that was used last first
}

type guesser struct {
	address netip.Prefix
	wrong   *rate.Limiter
	right   map[tokenHash]bool // that came from here before it was blocked
	told    bool               // the log says that it is blocked
}

func newGuesses() *guesses {
	return &guesses{byAddress: map[netip.Prefix]*lru.Element{}, recent: lru.New()}
}

// verdict is what becomes of a token.
type verdict struct {
	wait  time.Duration // above 0: refused, for so long
	first bool          // it is the first time since the address was let off
}

// judge is told of each token that comes, with found where it is one of ours.
func (g *guesses) judge(remote string, now time.Time, token tokenHash, found bool) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.of(network(remote))
	blocked := from.wrong.TokensAt(now) < 1
	switch {
	case found && from.right[token]:
		return verdict{}
	case blocked:
		first := !from.told
		from.told = true
		missing := 1 - from.wrong.TokensAt(now)
		return verdict{wait: max(time.Duration(missing*float64(guessEvery)), time.Millisecond), first: first}
	case found:
		if len(from.right) >= guessTokens {
			clear(from.right)
		}
		from.right[token] = true
	default:
		from.wrong.AllowN(now, 1)
	}
	from.told = false
	return verdict{}
}

// of returns what is known of an address, for which another is forgotten where
// there are too many.
func (g *guesses) of(address netip.Prefix) *guesser {
	if e := g.byAddress[address]; e != nil {
		g.recent.MoveToFront(e)
		return e.Value.(*guesser)
	}
	if g.recent.Len() >= guessAddresses {
		last := g.recent.Back()
		delete(g.byAddress, g.recent.Remove(last).(*guesser).address)
	}
	from := &guesser{address: address, wrong: rate.NewLimiter(rate.Every(guessEvery), guessBurst), right: map[tokenHash]bool{}}
	g.byAddress[address] = g.recent.PushFront(from)
	return from
}

// network is what one client can choose addresses from: an IPv4 address, or a
// /64 of IPv6. What is none, such as a unix socket, counts as one client.
func network(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the bits fit
	return p
}

func tooManyGuesses(wait time.Duration) *problem {
	seconds := int(math.Ceil(wait.Seconds()))
	return newProblem(http.StatusTooManyRequests, "too many wrong tokens came from your address; send the right one in %d s, "+
		"or look who else there sends wrong ones", seconds).header("Retry-After", strconv.Itoa(seconds))
}
