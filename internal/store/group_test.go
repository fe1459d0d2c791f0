package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestACallerWhoGoesAwayLeavesNothingBehind has a caller give up before and
// after a committer has taken what it brought.
func TestACallerWhoGoesAwayLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, goOn := make(chan int), make(chan struct{})
		var done []int
		g := newGroup(1, func(batch []int) ([]error, error) {
			begun <- batch[0]
			<-goOn
			done = append(done, batch...)
			return make([]error, len(batch)), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan error)
		go func() { answers <- g.do(ctx, 1) }()
		<-begun // the first is being committed
		go func() { answers <- g.do(ctx, 2) }()
		synctest.Wait() // the second is queued
		cancel()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("what no committer had taken: %v", err)
		}
		close(goOn)
		if err := <-answers; err != nil {
			t.Errorf("what was being committed: %v; its outcome is known and is to be told", err)
		}
		g.close()
		if len(done) != 1 || done[0] != 1 {
			t.Errorf("committed %v", done)
		}
	})
}
