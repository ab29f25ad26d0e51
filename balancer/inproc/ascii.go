package inproc

// Classes of bytes in heads (RFC 9110 section 5, RFC 9112 section 3).
const (
	isToken  = 1 << iota // in a method or a field name
	isText               // in a field value: no control character but tab
	isTarget             // in a request target
	isHost               // in a Host
	isHex
)

var class = func() (t [256]byte) {
	mark := func(bytes string, bit byte) {
		for i := range len(bytes) {
			t[bytes[i]] |= bit
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	mark(alnum+"!#$%&'*+-.^_`|~", isToken)
	for c := 0x20; c < 0x100; c++ {
		if c != 0x7f {
			t[c] |= isText
		}
		if c > 0x20 && c < 0x7f && c != '#' {
			t[c] |= isTarget
		}
	}
	t['\t'] |= isText
	mark(alnum+"-._~!$&'()*+,;=:[]%", isHost)
	mark("0123456789abcdefABCDEF", isHex)
	return t
}()

// all says whether every byte of b is of that class.
func all(b []byte, bit byte) bool {
	for _, c := range b {
		if class[c]&bit == 0 {
			return false
		}
	}
	return true
}

// fold says whether b is the lower-case word s, in any case.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// foldLoose is fold that takes an underscore for a dash, as servers do that
// turn names into variables.
func foldLoose(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		} else if c == '_' {
			c = '-'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// parseLength parses a Content-Length.
func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// eachWord calls do for the parts of a comma-separated list, and returns false
// as soon as do does.
func eachWord(list []byte, do func(word []byte) bool) bool {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		if word := trim(list[:end]); len(word) > 0 && !do(word) {
			return false
		}
		if end == len(list) {
			break
		}
		list = list[end+1:]
	}
	return true
}
