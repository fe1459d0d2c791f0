package main

import (
	"fanfare/internal/store/disktest"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
)

// runOnDisk names a directory: the program keeps its database on a disk in
// memory that begins with the files there.
const runOnDisk = "FANFARE_TEST_DISK"

// insertDisk puts the disk in its place. SIGUSR1 cuts its power: what is left
// goes back into the directory, and the process is gone. SIGUSR2 makes it full,
// and gives it room again.
func insertDisk(dir string) {
	image, err := disktest.Load(dir)
	if err != nil {
		panic(err)
	}
	d := image.Disk(dir)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		full := false
		for s := range signals {
			switch {
			case s == syscall.SIGUSR1:
				left := d.Stop(disktest.PowerCut, rand.New(rand.NewPCG(rand.Uint64(), 1)))
				if err := left.Save(dir); err != nil {
					panic(err)
				}
				os.Exit(137)
			case full:
				d.SetRoom(-1)
				full = false
			default:
				d.Full()
				full = true
			}
		}
	}()
}

// cutPower ends the node with all that its disk had not synced.
func (in *installation) cutPower() {
	in.t.Helper()
	if err := in.node.Process.Signal(syscall.SIGUSR1); err != nil {
		in.t.Fatal(err)
	}
	_ = in.node.Wait()
	if code := in.node.ProcessState.ExitCode(); code != 137 {
		in.t.Fatalf("exit code %d", code)
	}
}

// toggleFull makes the disk full, or gives it room again.
func (in *installation) toggleFull() {
	in.t.Helper()
	if err := in.node.Process.Signal(syscall.SIGUSR2); err != nil {
		in.t.Fatal(err)
	}
}
