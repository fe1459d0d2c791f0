// Package disktest gives tests a disk in memory that keeps SQLite files and
// fails as real disks do: it fills up, it loses power, and whoever writes to it
// can be killed between any two writes. It is a VFS of SQLite
// (https://sqlite.org/vfs.html), so that everything above it is the real thing.
//
// # What is modeled
//
// Killing a process keeps every write that it has made, in order, and at most a
// part of the one it was making. Losing power keeps what was synced, and of
// every later write either nothing, all of it, or its first sectors: disks do
// not keep to an order. Names are taken to be durable at once. A full disk
// refuses writes that would make a file grow.
//
// Only tests import it.
package disktest
