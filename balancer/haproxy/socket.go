package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The files in the state directory and the sockets in the socket directory.
const (
	configFile   = "haproxy.cfg"
	outputFile   = "haproxy.log"
	statsSocket  = "stats.sock"
	masterSocket = "master.sock"
	logSocket    = "log.sock"
)

// socketTimeout bounds one exchange on a socket where the context has no
// sooner end.
const socketTimeout = 5 * time.Second

// maxLine is how long a line of commands may be: HAProxy's buffer has 16,384
// bytes, less what it reserves.
const maxLine = 8 << 10

// errNoAnswer says that the socket could not be reached, or broke off.
var errNoAnswer = errors.New("haproxy: no answer on the socket")

func dial(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: socketTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, socketError(ctx, err)
	}
	return c, nil
}

// bound makes what is done on the connection until release end with the
// context, and after socketTimeout.
func bound(ctx context.Context, c net.Conn) (release func()) {
	_ = c.SetDeadline(time.Now().Add(socketTimeout))
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// socketError keeps a context that ended apart from a HAProxy that does not
// answer.
func socketError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", errNoAnswer, err)
}

// ask sends one line of commands to a socket and returns all that is answered
// until HAProxy closes the connection.
func ask(ctx context.Context, path, line string) (string, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	defer bound(ctx, c)()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", socketError(ctx, err)
	}
	data, err := io.ReadAll(c)
	if err != nil {
		return "", socketError(ctx, err)
	}
	return string(data), nil
}

// nobodyListens says whether an error is that of a socket which nobody has.
func nobodyListens(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

// listening says whether somebody may have a socket.
func (c Config) listening(ctx context.Context, name string) bool {
	conn, err := dial(ctx, c.socket(name))
	if err == nil {
		_ = conn.Close()
	}
	return !nobodyListens(err)
}

// masterPatience is how long the master may be away: it executes itself anew
// in a reload, and does not listen for a moment. An answer may take longer.
const masterPatience = time.Second

// master asks the master process, which does not close by itself.
func (c Config) master(ctx context.Context, command string) (string, error) {
	var out string
	var last error
	until := time.Now().Add(masterPatience)
	err := poll(ctx, func() (bool, error) {
		out, last = ask(ctx, c.socket(masterSocket), command+";quit")
		away := nobodyListens(last) || (last == nil && out == "")
		return !away || time.Now().After(until), nil
	})
	if err == nil {
		err = last
	}
	if err == nil && out == "" {
		err = fmt.Errorf("%w: the master said nothing", errNoAnswer)
	}
	return out, err
}

// worker asks one worker, also an old one, through the master.
func (c Config) worker(ctx context.Context, pid int, command string) (string, error) {
	return c.master(ctx, "@!"+strconv.Itoa(pid)+" "+command)
}

// session is a connection to a worker on which one command after another gets
// its answer. It stays with the worker that it was opened to.
type session struct{ conn net.Conn }

func (s *session) close() { _ = s.conn.Close() }

const promptSuffix = "\n> "

// openSession connects to the newest worker.
func (c Config) openSession(ctx context.Context) (*session, error) {
	conn, err := dial(ctx, c.socket(statsSocket))
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn}
	if _, err := s.run(ctx, "prompt"); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// run sends a command and returns the answer.
func (s *session) run(ctx context.Context, command string) (string, error) {
	out, err := s.runAll(ctx, command)
	if err != nil {
		return "", err
	}
	return out[0], nil
}

// runAll sends commands in one go and returns the answer to each.
func (s *session) runAll(ctx context.Context, commands ...string) ([]string, error) {
	lines := strings.Join(commands, "\n") + "\n"
	if len(lines) > maxLine || strings.Count(lines, "\n") != len(commands) || strings.ContainsAny(lines, "\r;") {
		return nil, fmt.Errorf("haproxy: commands of %d bytes are not %d commands", len(lines), len(commands))
	}
	defer bound(ctx, s.conn)()
	if _, err := io.WriteString(s.conn, lines); err != nil {
		return nil, socketError(ctx, err)
	}
	var out []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := s.conn.Read(buf)
		out = append(out, buf[:n]...)
		if bytes.HasSuffix(out, []byte(promptSuffix)) && bytes.Count(out, []byte(promptSuffix)) >= len(commands) {
			answers := strings.Split(strings.TrimSuffix(string(out), promptSuffix), promptSuffix)
			if len(answers) != len(commands) {
				return nil, fmt.Errorf("%w: %d answers to %d commands", errNoAnswer, len(answers), len(commands))
			}
			return answers, nil
		}
		if err != nil {
			return nil, socketError(ctx, err)
		}
	}
}

// command runs commands that change something; what HAProxy answers besides
// what it says on success is an error.
func (s *session) command(ctx context.Context, commands ...string) error {
	answers, err := s.runAll(ctx, commands...)
	if err != nil {
		return err
	}
	for i, answer := range answers {
		switch said := strings.Join(strings.Fields(answer), " "); said {
		case "", "New server registered.", "Server deleted.":
		default:
			return &refusal{command: commands[i], said: said}
		}
	}
	return nil
}

// refusal is a command that HAProxy understood and did not do.
type refusal struct{ command, said string }

func (r *refusal) Error() string {
	return fmt.Sprintf("haproxy: %q was refused: %s", r.command, r.said)
}
