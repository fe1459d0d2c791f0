package store_test

import (
	"errors"
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fanfare/internal/webhook"
	"testing"
	"time"
)

// TestAnApplicationKeepsWhatIsItsForAsLongAsItSays gives one application a
// moment, so that all that is its and has ended is old, and leaves another as
// it is.
func TestAnApplicationKeepsWhatIsItsForAsLongAsItSays(t *testing.T) {
	for name, test := range map[string]struct {
		messages, attempts      time.Duration
		messagesStay, callsStay bool
	}{
		"nothing said":                            {0, 0, true, true},
		"attempts go and messages stay":           {0, time.Microsecond, true, false},
		"attempts go with their messages":         {time.Microsecond, 0, false, false},
		"more than the installation keeps is not": {200 * 24 * time.Hour, 200 * 24 * time.Hour, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				other := newFixture(t, s)
				other.full = true // deliveries wait to be claimed
				f := &fixture{Store: s, recorder: other.recorder}
				var err error
				f.app, err = s.CreateApplication(t.Context(), webhook.Application{
					Environment: other.app.Environment, Name: "john", MessageRetention: test.messages, AttemptRetention: test.attempts,
				})
				if err != nil {
					t.Fatal(err)
				}
				sent := map[*fixture]webhook.Message{}
				for _, f := range []*fixture{f, other} {
					e := f.endpoint(t, nil)
					sent[f] = f.happened(t, "jane/flowers", "rose.png", "sample.created")
					for _, j := range f.claim(t, e, 10).Jobs {
						f.record(t, j, delivered)
					}
				}
				waits := f.happened(t, "jane/flowers", "tulip.png", "sample.created") // its delivery is pending
				// Ids tell times to the millisecond: all that was made so far is to
				// be of an earlier one.
				for made := time.Now().UnixMilli(); time.Now().Add(-time.Microsecond).UnixMilli() <= made; {
				}
				for more := true; more; {
					if more, err = s.RemoveOldOfApplications(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				there := func(f *fixture, m webhook.Message) bool {
					_, err := s.Message(t.Context(), f.app.ID, webhook.MessageID.Format(m.ID))
					if err != nil && !errors.Is(err, webhook.ErrNotFound) {
						t.Fatal(err)
					}
					return err == nil
				}
				calls := func(f *fixture) int {
					made, err := s.AttemptsOfMessage(t.Context(), f.app.ID, sent[f].ID, store.AttemptFilter{}, store.Page{Limit: 10})
					if err != nil {
						t.Fatal(err)
					}
					return len(made)
				}
				if there(f, sent[f]) != test.messagesStay || calls(f) > 0 != test.callsStay {
					t.Errorf("the message is there: %v, with %d attempts", there(f, sent[f]), calls(f))
				}
				if !there(f, waits) {
					t.Error("a message that is still to be delivered is gone")
				}
				if !there(other, sent[other]) || calls(other) != 1 {
					t.Errorf("the message of another is there: %v, with %d attempts", there(other, sent[other]), calls(other))
				}
			})
		})
	}
}
