package store

import (
	"bytes"
	"cmp"
	"context"
	"fanfare/internal/webhook"
	"fmt"
	"maps"
	"slices"
	"time"
)

// hourKey names a count of attempts.
type hourKey struct {
	hour     int64 // when it began, in microseconds
	endpoint webhook.ID
	result   int64
	bucket   int64
}

// hourCounts are counts of attempts.
type hourCounts map[hourKey]int64

// count adds an attempt to the counts of its hour. What only notes that a
// replay made it needless counts as nothing.
func (c hourCounts) count(a *webhook.Attempt) {
	if a.Number == 0 {
		return // the call for its digest counts
	}
	// By its id, so that hours and the list of attempts agree.
	k := hourKey{hour: webhook.Micros(a.ID.Time().Truncate(time.Hour)), endpoint: a.Endpoint, bucket: int64(webhook.LatencyBucket(a.Timings.Total))}
	switch {
	case a.Outcome == webhook.NotSent && a.Ends == webhook.Canceled:
		k.result, k.bucket = canceledResult, 0
	case a.Outcome == webhook.NotSent && a.Ends != webhook.Failed:
		return
	case a.Outcome != webhook.Delivered:
		k.result = failedResult
	}
	c[k]++
}

// The results by which attempts are counted.
const (
	succeededResult int64 = iota
	failedResult
	canceledResult
)

const (
	addHourOne = `
		INSERT INTO endpoint_hour (hour, endpoint_id, result, bucket, attempts) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (hour, endpoint_id, result, bucket) DO UPDATE SET attempts = endpoint_hour.attempts + excluded.attempts`
	addHourAll = `
		INSERT INTO endpoint_hour (hour, endpoint_id, result, bucket, attempts)
		SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS BYTEA[]), CAST($3 AS BIGINT[]), CAST($4 AS BIGINT[]), CAST($5 AS BIGINT[]))
		ON CONFLICT (hour, endpoint_id, result, bucket) DO UPDATE SET attempts = endpoint_hour.attempts + excluded.attempts
		RETURNING 1`
)

var hourKinds = []string{"BIGINT", "BYTEA", "BIGINT", "BIGINT", "BIGINT"}

// storeHours adds counts to those that are stored, in one order everywhere, so that
// nodes that count for the same endpoint wait for each other and never lock
// each other out.
func (t *tx) storeHours(hours hourCounts) error {
	keys := slices.SortedFunc(maps.Keys(hours), func(a, b hourKey) int {
		return cmp.Or(cmp.Compare(a.hour, b.hour), bytes.Compare(a.endpoint[:], b.endpoint[:]), cmp.Compare(a.result, b.result),
			cmp.Compare(a.bucket, b.bucket))
	})
	rows := make([][]any, len(keys))
	for i, k := range keys {
		rows[i] = []any{k.hour, key(k.endpoint), k.result, k.bucket, hours[k]}
	}
	return t.changeRows(addHourOne, addHourAll, hourKinds, rows, func(int) {})
}

// EndpointHours are the counts of an endpoint's attempts, hour by hour and
// oldest first, from the hour in which since lies. Hours without attempts are
// left out.
func (s *Store) EndpointHours(ctx context.Context, endpoint webhook.ID, since time.Time) ([]webhook.Hour, error) {
	// The key begins with the hour, so that what is written now lies together:
	// each hour is looked up by itself.
	rows, err := s.query(ctx, `
		WITH RECURSIVE h(hour) AS (
			SELECT CAST($2 AS BIGINT) UNION ALL SELECT hour + 3600000000 FROM h WHERE hour + 3600000000 <= $3
		)
		SELECT e.hour, e.result, e.bucket, e.attempts FROM h JOIN endpoint_hour e ON e.hour = h.hour AND e.endpoint_id = $1
		ORDER BY e.hour`,
		key(endpoint), webhook.Micros(since.Truncate(time.Hour)), time.Now().UnixMicro())
	var hours []webhook.Hour
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var at time.Time
		var result, bucket, n int64
		if err := row.Scan(intoTime{&at}, &result, &bucket, &n); err != nil {
			return struct{}{}, err
		}
		if len(hours) == 0 || !hours[len(hours)-1].At.Equal(at) {
			hours = append(hours, webhook.Hour{At: at})
		}
		h := &hours[len(hours)-1]
		switch result {
		case canceledResult:
			h.Canceled += n
			return struct{}{}, nil
		case failedResult:
			h.Failed += n
		default:
			h.Succeeded += n
		}
		h.Latency[min(max(bucket, 0), webhook.LatencyBuckets-1)] += n
		return struct{}{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("hours of endpoint %s: %w", webhook.EndpointID.Format(endpoint), err)
	}
	return hours, nil
}
