package store

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestACallerWhoGoesAwayLeavesNothingBehind has a caller give up before and
// after a committer has taken what it brought.
func TestACallerWhoGoesAwayLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, goOn := make(chan int), make(chan struct{})
		var done []int
		g := newGroup(&pace{}, 1, func(batch []int) ([]error, error) {
			begun <- batch[0]
			<-goOn
			done = append(done, batch...)
			return make([]error, len(batch)), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan error)
		go func() { answers <- g.do(ctx, 1, 1) }()
		<-begun // the first is being committed
		go func() { answers <- g.do(ctx, 2, 1) }()
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

// TestWhatIsHeavyTakesTurnsWithWhatIsLight has three heavy and many light pieces
// wait at once.
func TestWhatIsHeavyTakesTurnsWithWhatIsLight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var batches [][]int
		g := newGroup(&pace{}, 10, func(batch []int) ([]error, error) {
			<-goOn
			batches = append(batches, batch)
			return make([]error, len(batch)), nil
		})
		put := func(do func(context.Context, int) error, v int) {
			go func() {
				if err := do(context.Background(), v); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		light := func(ctx context.Context, v int) error { return g.do(ctx, v, 1) }
		put(light, 0) // is being committed while the others come
		for heavy := range 3 {
			put(g.doHeavy, 100+heavy)
		}
		for n := range 5 {
			put(light, 1+n)
		}
		close(goOn)
		g.close()
		for i, batch := range batches {
			if batch[0] >= 100 && len(batch) > 1 {
				t.Errorf("heavy with others: %v", batch)
			}
			if i > 1 && batch[0] >= 100 && batches[i-1][0] >= 100 && !slices.ContainsFunc(batches[:i], func(b []int) bool { return slices.Contains(b, 1) }) {
				t.Errorf("two heavy ones before what is light: %v", batches)
			}
		}
		if n := len(slices.Concat(batches...)); n != 9 {
			t.Errorf("%d of 9 were committed: %v", n, batches)
		}
	})
}

// TestWhatNobodyWaitsForGivesWay has it wait beside what somebody waits for,
// until there is enough of it, or it has waited long enough; alone it waits for
// nothing.
func TestWhatNobodyWaitsForGivesWay(t *testing.T) {
	for name, c := range map[string]struct {
		patient     int
		after       time.Duration
		light, rows int // how many somebody waits for, and what each writes
		want        int // how many of the first batch nobody waits for
	}{
		"alone":                            {patient: 1, want: 1},
		"beside others":                    {patient: 3, light: 1, want: 0},
		"beside others, once it is enough": {patient: patientMost, light: 1, want: patientMost},
		"beside others, after a while":     {patient: 3, after: patientFor, light: 1, want: 3},
		"two thirds, when both wait":       {patient: 200, light: 200, rows: 1, want: 67},
		"what is left, when few wait":      {patient: 200, light: 10, rows: 1, want: 90},
		"two thirds of the rows":           {patient: 200, light: 200, rows: 10, want: 70},
		"one at least, however large":      {patient: 200, light: 200, rows: 1000, want: 67},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				goOn := make(chan struct{})
				var batches [][]int
				g := newGroup(&pace{}, 100, func(batch []int) ([]error, error) {
					<-goOn
					batches = append(batches, batch)
					return make([]error, len(batch)), nil
				})
				var answered atomic.Int32
				answer := func(err error) {
					if answered.Add(1); err != nil {
						t.Error(err)
					}
				}
				g.later(0, 1, answer) // is being committed while the others come
				synctest.Wait()
				for range c.patient {
					g.later(1, 1, answer)
				}
				time.Sleep(c.after)
				for range c.light {
					go func() { answer(g.do(context.Background(), 2, c.rows)) }()
				}
				synctest.Wait()
				close(goOn)
				g.close()
				synctest.Wait()
				got := 0
				for _, v := range batches[1] {
					if v == 1 {
						got++
					}
				}
				if got != c.want || answered.Load() != int32(1+c.patient+c.light) {
					t.Errorf("%d in the first batch, want %d; %d answered; batches: %v", got, c.want, answered.Load(), batches)
				}
			})
		})
	}
}

// TestWhatComesInBulkFillsUpBatches has many pieces come at once, and a few by
// themselves after them, which go ahead into batches that are kept small.
func TestWhatComesInBulkFillsUpBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var batches [][]int
		g := newGroup(&pace{}, 100, func(batch []int) ([]error, error) {
			<-goOn
			batches = append(batches, batch)
			answers := make([]error, len(batch))
			for i, v := range batch {
				if v == 5 {
					answers[i] = context.DeadlineExceeded
				}
			}
			return answers, nil
		})
		light := func() {
			go func() {
				if err := g.do(context.Background(), -1, 1); err != nil {
					t.Error(err)
				}
			}()
		}
		light() // is being committed while the others come
		synctest.Wait()
		pieces := make([]int, 20)
		for i := range pieces {
			pieces[i] = i
		}
		go func() {
			for i, err := range g.doBulk(context.Background(), pieces, 10) {
				if (err != nil) != (i == 5) {
					t.Errorf("piece %d is answered with %v", i, err)
				}
			}
		}()
		synctest.Wait()
		for range 3 {
			light()
		}
		synctest.Wait()
		close(goOn)
		g.close()
		synctest.Wait()
		if want := []int{-1, -1, -1, 0, 1}; !slices.Equal(batches[1], want) {
			t.Errorf("the next batch is %v, want %v: a quarter of the rows, who came alone first", batches[1], want)
		}
		all := slices.DeleteFunc(slices.Concat(batches...), func(v int) bool { return v < 0 })
		if !slices.Equal(all, pieces) {
			t.Errorf("committed %v", all)
		}
	})
}

// TestTwinsOfABatchBecomeOne has the same request come a second time while the
// first is queued, so that both fall into one transaction.
func TestTwinsOfABatchBecomeOne(t *testing.T) {
	s := open(t, fileURL(t), Config{})
	environment, err := s.Environment(t.Context(), MainEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.CreateApplication(t.Context(), webhook.Application{Environment: environment, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.write(context.Background(), func(*tx) error { close(begun); <-goOn; return nil })
	})
	<-begun
	ids := make([]webhook.ID, 2)
	for i := range ids {
		all.Go(func() {
			m := &webhook.Message{Application: app.ID, EventType: "a", Payload: []byte("{}")}
			answers, err := s.AddMessages(context.Background(), []*webhook.Message{m}, []IdempotencyKey{{Hash: []byte("the key of both")}}, nil)
			if err != nil || answers[0] != nil {
				t.Errorf("%v, %v", answers, err)
			}
			ids[i] = m.ID
		})
	}
	queued := func() int {
		g := s.committers.ingestions
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.bulk)
	}
	for queued() < len(ids) {
		runtime.Gosched()
	}
	close(goOn)
	all.Wait()
	if ids[0] != ids[1] {
		t.Errorf("two messages were made: %v", ids)
	}
}

// TestBulkGivesWayToThoseWhoComeAlone has a committer that takes a millisecond for
// a row, an import in pieces of eight rows, and beside it one who comes alone
// every 20 ms. Who comes alone seldom meets the import once it has been in the way
// a few times, and once nobody comes any more the import goes at full speed.
func TestBulkGivesWayToThoseWhoComeAlone(t *testing.T) {
	const row, rows = time.Millisecond, 8
	synctest.Test(t, func(t *testing.T) {
		var p pace
		var bulk atomic.Int64
		g := newGroup(&p, rows, func(batch []int) ([]error, error) {
			for _, n := range batch {
				if n > 1 {
					bulk.Add(int64(n))
				}
				time.Sleep(time.Duration(n) * row)
			}
			return make([]error, len(batch)), nil
		})
		alone := func(n int) (met int) {
			for range n {
				time.Sleep(20 * time.Millisecond)
				began := time.Now()
				if err := g.do(t.Context(), 1, 1); err != nil {
					t.Error(err)
				}
				d := time.Since(began)
				p.waited(d, time.Now())
				if d > shortWait {
					met++
				}
			}
			return met
		}
		alone(enough) // which is as it always is
		var importing sync.WaitGroup
		importing.Go(func() {
			for range 100 {
				for _, err := range g.doBulk(t.Context(), slices.Repeat([]int{rows}, 10), rows) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
		alone(100)
		before := bulk.Load()
		if met := alone(200); met > 20 || bulk.Load() == before {
			t.Errorf("%d of 200 who came alone met the import, of which %d rows came through", met, bulk.Load()-before)
		}
		left, began := 1000*rows-bulk.Load(), time.Now()
		importing.Wait()
		if took, most := time.Since(began), time.Duration(left)*row+paceWhile+rows*row; left == 0 || took > most {
			t.Errorf("the last %d rows of the import took %v, want %v at most", left, took, most)
		}
		g.close()
	})
}
