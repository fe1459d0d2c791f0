package webhooks

import (
	"fanfare/internal/store"
	"fanfare/internal/webhook"
	"slices"
	"strings"
	"time"
)

// listOut is a page of a list (contract, section 6).
type listOut[T any] struct {
	Data         []T     `json:"data"`
	Iterator     *string `json:"iterator"`
	PrevIterator string  `json:"prevIterator,omitempty"`
	Done         bool    `json:"done"`
}

// The parameters of lists.
var (
	limitField    = field{name: "limit", kind: integer, min: 1, max: 250, doc: "How many items a page has at most.", given: 50}
	iteratorField = field{
		name: "iterator", kind: text, max: 300,
		doc: "Where the page begins: the iterator of the page before, or prevIterator to go back.",
	}
	orderField  = field{name: "order", kind: text, enum: []string{"ascending", "descending"}, doc: "The order of the list."}
	beforeField = field{name: "before", kind: instant, doc: "Only what was made before this time."}
	afterField  = field{name: "after", kind: instant, doc: "Only what was made at or after this time."}
	typesField  = field{
		name: "event_types", kind: texts, min: 1, max: 250, valid: webhook.ValidName, pattern: namePattern, problem: nameProblem,
		doc: "Only messages of these event types.",
	}
	channelField = field{
		name: "channel", kind: text, valid: webhook.ValidChannel, pattern: channelPattern, problem: channelProblem,
		doc: "Only messages of this channel.",
	}
	tagField = field{
		name: "tag", kind: text, valid: webhook.ValidTag, pattern: tagPattern, problem: tagProblem,
		doc: "Only messages with this tag.",
	}
)

const defaultLimit = 50

// lookBack is how far lists of messages and attempts go when nothing else says.
const lookBack = 90 * 24 * time.Hour

// list is a page that was asked for.
type list struct {
	store.Page
	// backward says that the page was asked for from its end: rows come in the
	// other order and are turned.
	backward bool
	limit    int
	// horizon is where the page stops looking; zero when the list ends before.
	horizon webhook.ID
}

// stopAt has the page look no further than a horizon.
func (l *list) stopAt(h store.Horizon) {
	if h.Next.IsZero() {
		return
	}
	l.horizon = h.Last
	if l.Ascending {
		l.Before = h.Next
	} else {
		l.After = h.Next
	}
}

// goOn turns a page that came to its horizon before it was full into one that
// is not done, and whose iterator goes on from there. So a filter that lets
// next to nothing through gets short pages and not slow ones.
func goOn[T any](page *listOut[T], l *list, prefix webhook.Prefix) {
	if l.horizon.IsZero() || !page.Done {
		return
	}
	there := prefix.Format(l.horizon)
	page.Done = false
	if l.backward {
		page.PrevIterator = "-" + there
	}
	if !l.backward || page.Iterator == nil {
		page.Iterator = &there
	}
}

// listOf reads the parameters of a list of things whose ids bear a prefix.
func (r *request) list(prefix webhook.Prefix, ascending bool) (list, error) {
	l := list{limit: defaultLimit}
	if n := get[int64](r.query, "limit"); n > 0 {
		l.limit = int(n)
	}
	if order := get[string](r.query, "order"); order != "" {
		ascending = order == "ascending"
	}
	l.Limit, l.Ascending = l.limit+1, ascending
	before, after := get[time.Time](r.query, "before"), get[time.Time](r.query, "after")
	if !before.IsZero() {
		l.Before = webhook.FloorID(before)
	}
	if !after.IsZero() {
		l.After = webhook.FloorID(after)
	}
	iterator, back := strings.CutPrefix(get[string](r.query, "iterator"), "-")
	if !r.query.has("iterator") || iterator == "" && !back {
		// Nearest to the time that was asked for.
		l.backward = !after.IsZero() && before.IsZero() && !ascending
		l.Ascending = l.Ascending != l.backward
		return l, nil
	}
	id, err := prefix.Parse(iterator)
	if err != nil {
		return l, wrong("must be an iterator of this list", "query", "iterator")
	}
	l.backward = back
	l.Ascending = ascending != back
	if l.Ascending {
		l.After = later(l.After, id)
	} else {
		l.Before = earlier(l.Before, id)
	}
	return l, nil
}

// recent bounds a list to the last 90 days, unless something else was asked
// for.
func (l *list) recent() {
	if l.Before.IsZero() && l.After.IsZero() {
		l.After = webhook.FloorID(time.Now().Add(-lookBack))
	}
}

func later(a, b webhook.ID) webhook.ID {
	if slices.Compare(a[:], b[:]) > 0 {
		return a
	}
	return b
}

// earlier is the first of two ids, of which the zero id is none.
func earlier(a, b webhook.ID) webhook.ID {
	if a.IsZero() || slices.Compare(b[:], a[:]) < 0 {
		return b
	}
	return a
}

// pageOf turns the rows of a list, one more than fit when there are more, into
// a page.
func pageOf[R, T any](rows []R, limit int, backward bool, out func(*R) T, iterator func(*R) string) listOut[T] {
	page := listOut[T]{Data: []T{}, Done: len(rows) <= limit}
	rows = rows[:min(len(rows), limit)]
	if backward {
		slices.Reverse(rows)
	}
	for i := range rows {
		page.Data = append(page.Data, out(&rows[i]))
	}
	if len(rows) > 0 {
		last := iterator(&rows[len(rows)-1])
		page.Iterator, page.PrevIterator = &last, "-"+strings.TrimPrefix(iterator(&rows[0]), "=")
	}
	return page
}

// messageFilter reads the parameters that narrow by what a message is.
func (r *request) messageFilter() store.MessageFilter {
	return store.MessageFilter{
		EventTypes: get[[]string](r.query, "event_types"),
		Channel:    get[string](r.query, "channel"),
		Tag:        get[string](r.query, "tag"),
	}
}

// withContent reports whether payloads and answers are asked for.
func (r *request) withContent() bool {
	return !r.query.has("with_content") || get[bool](r.query, "with_content")
}
