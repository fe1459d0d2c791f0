// Package portal is the face for people: the account page, where webhooks are
// enabled, and the pages on which endpoints are managed and events are seen
// and replayed.
//
// Pages are rendered on the server and work without JavaScript; htmx refreshes
// what is under way. Every page but the login and the documentation asks for a
// session, and shows an account only to those who may act for it: anything else
// is not found.
package portal
