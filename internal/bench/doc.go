// Package bench measures Fanfare on the machine it runs on, against a bare
// relay that does the same without storing anything, in the same run.
//
// Whoever produces, relays, sends and receives is a process of its own, started
// from the same program, so that each one's processor time and memory are its
// own. Rounds of what is compared take turns, and medians are reported, because
// the speed of a machine drifts.
package bench
