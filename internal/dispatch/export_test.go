package dispatch

// What tests of other files need to answer as a receiver would.
var (
	Judge           = judge
	ParseRetryAfter = parseRetryAfter
)
