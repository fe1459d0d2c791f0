// Package signature signs webhook messages and verifies them, as the Standard
// Webhooks specification says: over "id.timestamp.body", with an HMAC-SHA256
// under a secret that the sender and one receiver share (scheme v1), or with
// ed25519, of which the receiver has the public half alone (scheme v1a).
//
// It knows nothing of HTTP beyond the three headers that carry a signature, and
// nothing of storage: secrets come in and go out as text. Verify passes over
// signatures of schemes that its key is not for, so a sender may add one without
// breaking a receiver.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package signature
