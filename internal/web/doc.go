// Package web holds what the HTTP faces share: a router over raw paths, bounds
// on what is read, the request's id and log line, and JSON answers.
package web
