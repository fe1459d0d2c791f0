// Package auth keeps secrets and tells who somebody is: the sealer for what is
// encrypted at rest, password hashes, random tokens that are stored hashed, and
// the limiter that slows down guessing.
package auth
