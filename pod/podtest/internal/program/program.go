// Package program is what the nodes of the conformance suite run: a server
// whose every effect on the system is asked for over HTTP, so that a test can
// make a node print, burn, spawn, exit or die at the moment that suits it.
package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// System is what the program touches. OS returns that of a real process.
type System struct {
	Args []string // "serve", "deaf", "exit N LINE…" or, for descendants, "child"
	Env  map[string]string
	Out  io.Writer
	Term <-chan struct{} // closed when the node is asked to end
	Dead <-chan struct{} // closed when the node was killed, where the program outlives that

	Listen func(port string) (net.Listener, error)
	Secret func(name string) ([]byte, error)
	Burn   func(cpu time.Duration)
	Signal func(n int)          // kills the process by a signal
	Spawn  func(far bool) error // starts "child"; far: in a session of its own, by an intermediate that ends
}

// Run runs the program and returns its exit code.
func Run(s System) int {
	mode := ""
	if len(s.Args) > 0 {
		mode = s.Args[0]
	}
	switch mode {
	case "serve", "deaf":
		return serve(s, mode == "deaf")
	case "child":
		return child(s)
	case "exit":
		code := 0
		if len(s.Args) > 1 {
			code, _ = strconv.Atoi(s.Args[1])
			for _, line := range s.Args[2:] {
				fmt.Fprintln(s.Out, line)
			}
		}
		return code
	}
	fmt.Fprintf(s.Out, "unknown mode %q\n", mode)
	return 2
}

// ChildPort is the name of the port on which a descendant answers. The main
// process leaves it alone.
const ChildPort = "child"

func serve(s System, deaf bool) int {
	exit := make(chan int, 1)
	var once sync.Once
	end := func(code int) { once.Do(func() { exit <- code }) }
	srv := &http.Server{Handler: handler(s, end), ReadHeaderTimeout: 10 * time.Second}
	for name, port := range s.Env {
		if name != "PORT" && (!strings.HasPrefix(name, "PORT_") || name == "PORT_"+strings.ToUpper(ChildPort) || port == s.Env["PORT"]) {
			continue
		}
		l, err := s.Listen(port)
		if err != nil {
			fmt.Fprintln(s.Out, "listen:", err)
			return 3
		}
		go func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(s.Out, "serve:", err)
				end(4)
			}
		}()
	}
	fmt.Fprintln(s.Out, "serving")
	term := s.Term
	if deaf {
		term = nil
	}
	code := 0
	select {
	case code = <-exit:
	case <-s.Dead:
		code = 137
	case <-term:
		fmt.Fprintln(s.Out, "terminated")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
	return code
}

func handler(s System, end func(int)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.Env) })
	mux.HandleFunc("/secret", func(w http.ResponseWriter, r *http.Request) {
		b, err := s.Secret(r.FormValue("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_, _ = w.Write(b)
	})
	mux.HandleFunc("/print", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		for i := range n {
			fmt.Fprintln(s.Out, r.FormValue("text"), i+1)
		}
	})
	mux.HandleFunc("/burn", func(_ http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("cpu"))
		s.Burn(d)
	})
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		end(code)
	})
	mux.HandleFunc("/signal", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		s.Signal(n)
	})
	mux.HandleFunc("/spawn", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Spawn(r.FormValue("far") != ""); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// child answers on the child port with one line and holds each connection, so
// that whoever dialled sees the moment at which it dies.
func child(s System) int {
	l, err := s.Listen(s.Env["PORT_"+strings.ToUpper(ChildPort)])
	if err != nil {
		fmt.Fprintln(s.Out, "child:", err)
		return 3
	}
	go func() {
		<-s.Dead
		l.Close()
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return 0
		}
		fmt.Fprintln(c, "child")
		go func() {
			<-s.Dead
			c.Close()
		}()
	}
}
