// Package chat puts messages into the words and the form of chat services, one
// by one or many at once, and knows what the services answer.
//
// Everything here is a function of values: the store keeps what is rendered
// before it is sent, and the portal shows it before anything is.
package chat
