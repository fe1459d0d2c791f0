//go:build race

package simulation_test

// raced says that the race detector is at work, which makes a run twenty times
// as long.
const raced = true
