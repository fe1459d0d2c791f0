// Package webhook holds the nouns and rules of sending: applications, their
// endpoints, messages, the deliveries that promise to bring a message to an
// endpoint, and the attempts made for them.
//
// Everything here is a value or a function of values. Clocks, dice and
// databases are handed in by the packages that use it.
package webhook
