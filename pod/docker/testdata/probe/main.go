// Command probe does in a container what stock images do at their start.
package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "stock":
		stock()
	case "sleep":
		time.Sleep(time.Hour)
	case "eat":
		eat()
	case "check": // a HEALTHCHECK
		if _, err := os.Stat("/broken"); err == nil {
			os.Exit(1)
		}
	case "break":
		check(os.WriteFile("/broken", nil, 0o600))
	case "look":
		look()
	}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// stock starts as root, prepares directories for another user, binds port 80,
// becomes that user for good and serves, as nginx and redis do.
func stock() {
	check(os.MkdirAll("/var/cache", 0o755))
	check(os.Mkdir("/var/cache/stock", 0o700))
	check(os.Chown("/var/cache/stock", 101, 101))
	check(os.WriteFile("/etc/stock.conf", []byte("written at the start\n"), 0o600))
	check(os.Chmod("/etc/stock.conf", 0o644))
	l, err := net.Listen("tcp", ":80")
	check(err)
	check(syscall.Setgroups([]int{101}))
	check(syscall.Setgid(101))
	check(syscall.Setuid(101))
	check(os.WriteFile("/var/cache/stock/item", []byte("cached\n"), 0o600))
	if err := os.WriteFile("/etc/stock.conf", nil, 0o600); err == nil {
		fmt.Println("still root")
		os.Exit(1)
	}
	check(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "uid", os.Getuid())
	})))
}

// eat waits to be told so, and then allocates until the kernel ends it.
func eat() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	fmt.Println("hungry")
	<-told
	fmt.Println("eating")
	var held [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(i)
		}
		held = append(held, b)
		if len(held) > 4096 {
			fmt.Println("not stopped")
			return
		}
	}
}

// look prints a file or directory, our user and whether the root and /tmp can be
// written, and serves on.
func look() {
	fmt.Println("uid", os.Getuid())
	fmt.Println("root:", writable("/probe"), "tmp:", writable("/tmp/probe"))
	for _, root := range os.Args[2:] {
		_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				fmt.Println(p, err)
				return nil
			}
			info, err := d.Info()
			if err != nil || d.IsDir() {
				return nil
			}
			content, err := os.ReadFile(p)
			uid := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid))
			fmt.Printf("%s %v uid=%s %q %v\n", p, info.Mode(), uid, content, err)
			return nil
		})
	}
	fmt.Println("done")
	time.Sleep(time.Hour)
}

func writable(p string) string {
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		return err.(*fs.PathError).Err.Error()
	}
	return "writable"
}
