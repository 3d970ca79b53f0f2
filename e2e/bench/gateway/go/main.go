// Command gatewaybench is what the gateway's measurements need at both ends: a fake engine and
// clients that load whatever stands before it.
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{"engine": engine, "load": load, "hold": hold}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: %s engine|load|hold [flags]", os.Args[0]))
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
