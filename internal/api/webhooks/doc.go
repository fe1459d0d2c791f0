// Package webhooks is the sender's HTTP face: everything under /api/v1, as the
// Svix SDKs speak it.
//
// Each route is an operation, a value that says who may call it, what it reads
// and what it answers. Requests are checked against it, and the OpenAPI
// document is made of it, so that neither can say something else.
package webhooks
