// Package signature signs webhook messages and verifies them, as the Standard
// Webhooks specification says: an HMAC-SHA256 over "id.timestamp.body" under a
// secret that the sender and one receiver share (scheme v1, symmetric).
//
// It knows nothing of HTTP beyond the three headers that carry a signature,
// and nothing of storage: secrets come in and go out as text.
//
// The specification also has v1a, an ed25519 signature whose key begins with
// whsk_. It is not built here; [Verify] passes over signatures of schemes it
// does not know, so a sender may add one without breaking this receiver.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package signature
