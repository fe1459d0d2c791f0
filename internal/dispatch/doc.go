// Package dispatch sends what is due.
//
// # The core and the shell
//
// [core] is a state machine without goroutines, locks, clocks or I/O: each of
// its methods is given the time and returns what is to be done (calls to make,
// queues to look into, claims to give back). [Dispatcher] is the shell that
// does those things and tells the core what came of them. All rules of
// fairness live in the core, where a test can step through them.
//
// # Lanes and shares
//
// Each endpoint has a lane: the deliveries this node has claimed for it, and
// how many calls may be in flight, which falls when the receiver fails and
// rises again as it recovers. Each application has a share of the calls of the
// process. Lanes that may send stand in a ring by application and are served
// in turn, so that neither a slow endpoint nor a huge customer holds up
// another. What does not fit waits in the database, unclaimed.
package dispatch
