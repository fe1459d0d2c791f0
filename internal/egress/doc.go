// Package egress is the only way out: every request to a receiver goes through
// a [Client], which refuses addresses that are not public, follows no redirect,
// uses no proxy, and bounds the time and the bytes that a receiver can cost.
//
// It retries nothing and decides nothing about a delivery: it reports a status,
// a bounded body and timings, or an error that [Class], [Explain], [Unsent] and
// [Retryable] answer questions about.
package egress
