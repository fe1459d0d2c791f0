// Package simulation runs nodes in a world where everything that can go wrong
// does, and checks that nothing is lost. It has tests only.
//
// # What is real and what is not
//
// Store, dispatcher and rules are those of the program. Time, disk and network
// are simulated: a bubble of [testing/synctest] makes hours pass in
// milliseconds, a disk in memory ([fanfare/internal/store/disktest]) stops
// between any two writes, and receivers answer late, badly or not at all. A
// node that dies is thrown away as it is, and the next one begins with what was
// on its disk.
//
// # How a run repeats itself
//
// Whatever takes time takes a length of its own, drawn from the seed by what it
// is and never by when it happens: so no two things happen at once, and the
// order of everything follows from the seed. A seed that fails fails again.
//
// # What is checked
//
// A model of its own, which knows only what clients were told and what
// receivers saw, says what has to be true of the database in the end; see
// model_test.go.
package simulation
