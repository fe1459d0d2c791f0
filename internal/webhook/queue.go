package webhook

import "time"

// Claimed is what one look into the queue of an endpoint found.
type Claimed struct {
	// Endpoint is the endpoint as it is now; nil when it was deleted.
	Endpoint *Endpoint
	// Jobs are the deliveries this node now holds.
	Jobs []Job
	// FirstDue and RetryDue are when the next first attempt and the next retry
	// that are still unclaimed come due; zero when there is none.
	FirstDue, RetryDue time.Time
}

// Waiting is an endpoint for which deliveries wait unclaimed, and when the
// first of each kind comes due; zero when there is none of the kind.
type Waiting struct {
	Endpoint           ID
	FirstDue, RetryDue time.Time
}
