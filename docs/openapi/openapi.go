// Package openapi holds the OpenAPI documents of the HTTP faces, as their tests
// write them, for the program to show.
package openapi

import "embed"

// Files are the documents, NAME.json each.
//
//go:embed *.json
var Files embed.FS
