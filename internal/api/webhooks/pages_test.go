package webhooks

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// pages walks over a list in pages of a size, forwards and then back, and
// checks that each is what it must be of the whole list.
func (w *world) pages(path string, size int, whole []string) {
	w.t.Helper()
	at := func(iterator string) map[string]any {
		w.t.Helper()
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		query := fmt.Sprintf("%slimit=%d", separator, size)
		if iterator != "" {
			query += "&iterator=" + url.QueryEscape(iterator)
		}
		return w.must(200, "GET", path+query, "")
	}
	check := func(what string, page map[string]any, want []string, done bool) {
		w.t.Helper()
		if got := idsOf(page); !slices.Equal(got, want) || page["done"] != done {
			w.t.Errorf("%s, %d at a time, %s: %v, done %v; want %v, done %t", path, size, what, got, page["done"], want, done)
		}
		for _, name := range []string{"data", "iterator", "done"} {
			if _, ok := page[name]; !ok {
				w.t.Errorf("%s, %s: no %s", path, what, name)
			}
		}
		if _, ok := page["prevIterator"]; ok != (len(want) > 0) || (page["iterator"] == nil) != (len(want) == 0) {
			w.t.Errorf("%s, %s: iterators %v and %v", path, what, page["iterator"], page["prevIterator"])
		}
	}
	iterator, first, last := "", map[string]any(nil), map[string]any(nil)
	for start := 0; start == 0 || start < len(whole); start += size {
		end := min(start+size, len(whole))
		last = at(iterator)
		check(fmt.Sprintf("from %d", start), last, whole[start:end], end == len(whole))
		if last["iterator"] == nil {
			return
		}
		iterator = last["iterator"].(string)
		if first == nil {
			first = last
		}
	}
	check("after the last page", at(iterator), nil, true)
	check("before the first page", at(first["prevIterator"].(string)), nil, true)
	for end := (len(whole) - 1) / size * size; end > 0; {
		start := max(0, end-size)
		last = at(last["prevIterator"].(string))
		check(fmt.Sprintf("back to %d", start), last, whole[start:end], start == 0)
		end = start
	}
}

func reversed(list []string) []string {
	all := slices.Clone(list)
	slices.Reverse(all)
	return all
}

func TestEveryListIsPagedForwardsAndBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var apps, endpoints, messages, tasks, operational, destinations []string
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		apps = append(apps, w.must(200, "GET", "/app/acme", "")["id"].(string))
		for i := range 5 {
			apps = append(apps, w.must(201, "POST", "/app", `{"name":"a"}`)["id"].(string))
			endpoints = append(endpoints, w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"e%d"}`, w.receiver.url, i))["id"].(string))
			operational = append(operational, w.must(201, "POST", "/operational-webhook/endpoint", `{"url":"https://example.invalid","eventTypes":["endpoint.enabled"]}`)["id"].(string))
			tasks = append(tasks, w.must(202, "PUT", "/stats/usage/event-types", "")["id"].(string))
		}
		destinations = slices.Clone(endpoints)
		names := []string{"--", "-a", "A", "a", "a-b", "b", "z"}
		for _, name := range names {
			w.must(201, "POST", "/event-type", fmt.Sprintf(`{"name":%q,"description":""}`, name))
		}
		for range 5 {
			messages = append(messages, w.message("acme", `{"eventType":"a","payload":{}}`))
			for range endpoints {
				w.receiver.next(t)
			}
		}
		attempts := func(path string, n int) (ids []string) {
			w.eventually(fmt.Sprintf("%d attempts at %s", n, path), func() bool {
				ids = idsOf(w.must(200, "GET", path+"?limit=250", ""))
				return len(ids) == n
			})
			return ids
		}
		for i := range endpoints {
			attempts("/app/acme/attempt/endpoint/"+endpoints[i], len(messages))
		}
		slices.Sort(names)
		for _, c := range []struct {
			path    string
			whole   []string // in the order it has by itself
			ordered bool
		}{
			{"/app", apps, true},
			{"/app/acme/endpoint", reversed(endpoints), true},
			{"/operational-webhook/endpoint", reversed(operational), true},
			{"/background-task", reversed(tasks), true},
			{"/event-type", names, true},
			{"/app/acme/msg", reversed(messages), false},
			{"/app/acme/endpoint/e2/msg", reversed(messages), false},
			{"/app/acme/attempt/endpoint/e2", attempts("/app/acme/attempt/endpoint/e2", 5), false},
			{"/app/acme/attempt/msg/" + messages[1], attempts("/app/acme/attempt/msg/"+messages[1], 5), false},
			{"/app/acme/msg/" + messages[1] + "/attempt", attempts("/app/acme/attempt/msg/"+messages[1], 5), false},
			{"/app/acme/msg/" + messages[1] + "/endpoint", destinations, false},
			{"/app/acme/msg/" + messages[1] + "/endpoint/e1/attempt", attempts("/app/acme/msg/"+messages[1]+"/endpoint/e1/attempt", 1), false},
		} {
			for _, size := range []int{1, 2, 3, len(c.whole), 250} {
				w.pages(c.path, size, c.whole)
			}
			opposite := map[bool]string{true: "descending", false: "ascending"}[slices.IsSorted(c.whole)]
			whole := c.whole
			if c.ordered {
				whole = reversed(whole)
			}
			w.pages(c.path+"?order="+opposite, 2, whole)
			if r := w.do("GET", c.path+"?limit=251", ""); r.status != 422 {
				t.Errorf("%s with a limit of 251: %d", c.path, r.status)
			}
		}
	})
}

func TestListsOfAWindowOfTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		var messages, times []string
		for range 6 {
			made := w.must(202, "POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`)
			messages, times = append(messages, made["id"].(string)), append(times, made["timestamp"].(string))
			w.receiver.next(t)
			<-time.After(5 * time.Millisecond) // ids are told apart by the millisecond
		}
		at := func(i int) string { return url.QueryEscape(times[i]) }
		elsewhere := func(i int, form string, zone *time.Location) string {
			moment, err := time.Parse(time.RFC3339Nano, times[i])
			if err != nil {
				t.Fatal(err)
			}
			return url.QueryEscape(moment.In(zone).Format(form))
		}
		india := time.FixedZone("", 5*3600+1800)
		for query, want := range map[string][]string{
			"before=" + at(3):                                                                {messages[2], messages[1], messages[0]},
			"after=" + at(3):                                                                 {messages[5], messages[4], messages[3]},
			"after=" + at(2) + "&before=" + at(4):                                            {messages[3], messages[2]},
			"after=" + at(2) + "&limit=2":                                                    {messages[3], messages[2]},
			"after=" + at(2) + "&before=" + at(5) + "&limit=2":                               {messages[4], messages[3]},
			"after=" + at(5) + "&before=" + at(2):                                            nil,
			"before=" + at(3) + "&iterator=" + messages[1]:                                   {messages[0]},
			"after=" + at(1) + "&iterator=" + messages[3]:                                    {messages[2], messages[1]},
			"after=" + at(1) + "&iterator=-" + messages[3] + "&limit=1":                      {messages[4]},
			"before=" + elsewhere(3, time.RFC3339Nano, india):                                {messages[2], messages[1], messages[0]},
			"before=" + elsewhere(3, "2006-01-02 15:04:05.999999 UTC", time.UTC):             {messages[2], messages[1], messages[0]},
			"after=" + elsewhere(3, "2006-01-02T15:04:05.000Z", time.UTC):                    {messages[5], messages[4], messages[3]},
			"after=" + strings.ReplaceAll(elsewhere(3, time.RFC3339Nano, india), "%2B", "+"): {messages[5], messages[4], messages[3]},
			"before=1970-01-01T00:00:00Z":                                                    nil,
			"before=0001-01-01T00:00:00Z":                                                    nil,
			"after=0001-01-01T00:00:00Z":                                                     reversed(messages),
			"before=9999-12-31T23:59:59.999999999%2B00:00":                                   reversed(messages),
		} {
			page := w.must(200, "GET", "/app/acme/msg?"+query, "")
			if got := idsOf(page); !slices.Equal(got, want) {
				t.Errorf("%s: %v; want %v", query, got, want)
			}
		}
		// What is nearest to a time says whether there is more towards now.
		if page := w.must(200, "GET", "/app/acme/msg?limit=2&after="+at(2), ""); page["done"] != false {
			t.Errorf("nearest: %v", page)
		}
		if page := w.must(200, "GET", "/app/acme/msg?limit=4&after="+at(2), ""); page["done"] != true {
			t.Errorf("nearest, all of it: %v", page)
		}
		for _, path := range []string{"/app/acme/endpoint", "/app"} { // which know no times
			w.must(200, "GET", path+"?before="+at(3), "")
		}
	})
}

func TestPollersBeginWhereTheyAreTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.must(201, "POST", "/app/acme/endpoint", `{"url":"https://example.invalid","uid":"sink","disabled":true}`)
		var messages, times []string
		for range 5 {
			<-time.After(3 * time.Millisecond) // ids are told apart by the millisecond
			made := w.must(202, "POST", "/app/acme/msg", `{"eventType":"a","payload":{"n":1},"eventId":null,"tags":["t"],"channels":["c"]}`)
			messages, times = append(messages, made["id"].(string)), append(times, made["timestamp"].(string))
		}
		const path = "/app/acme/poller/sink"
		page := w.must(200, "GET", path+"?limit=2&after="+url.QueryEscape(times[1]), "")
		if got := idsOf(page); !slices.Equal(got, messages[1:3]) || page["done"] != false {
			t.Errorf("after a time: %v", page)
		}
		has(t, "what is polled", page["data"].([]any)[0].(map[string]any), map[string]any{
			"id": messages[1], "eventId": nil, "eventType": "a", "payload": map[string]any{"n": 1.0}, "channels": []any{"c"}, "tags": []any{"t"}, "deliverAt": nil, "headers": nil, "timestamp": aTime,
		})
		page = w.must(200, "GET", path+"?iterator="+page["iterator"].(string), "")
		if got := idsOf(page); !slices.Equal(got, messages[3:]) || page["done"] != true {
			t.Errorf("and on: %v", page)
		}
		empty := w.must(200, "GET", path+"?iterator="+page["iterator"].(string), "")
		if idsOf(empty) != nil || empty["done"] != true || empty["iterator"] != page["iterator"] {
			t.Errorf("at the end: %v", empty)
		}
		poll := func(query string) reply { return w.do("GET", path+"/consumer/c"+query, "") }
		for i := range messages {
			sought := w.must(200, "POST", path+"/consumer/c/seek", `{"after":"`+times[i]+`"}`)
			if len(sought) != 1 || sought["iterator"] == "" {
				t.Errorf("a seek: %v", sought)
			}
			if got := idsOf(poll("").object(t)); !slices.Equal(got, messages[i:]) {
				t.Errorf("from message %d: %v; want %v", i, got, messages[i:])
			}
			if got := idsOf(poll("?iterator=" + sought["iterator"].(string)).object(t)); !slices.Equal(got, messages[i:]) {
				t.Errorf("from message %d, by iterator: %v; want %v", i, got, messages[i:])
			}
		}
		// Whoever dies before the next call gets the same again; a consumer knows nothing of another.
		w.must(200, "POST", path+"/consumer/c/seek", `{"after":"2020-01-01T00:00:00Z"}`)
		first := poll("?limit=2").object(t)
		if again := poll("?limit=2"); !slices.Equal(idsOf(again.object(t)), messages[:2]) {
			t.Errorf("again: %s", again.body)
		}
		next := poll("?limit=2&iterator=" + first["iterator"].(string)).object(t)
		if got := idsOf(next); !slices.Equal(got, messages[2:4]) {
			t.Errorf("the next ones: %v", got)
		}
		if r := poll("?iterator=" + page["iterator"].(string)); r.status != 409 || !strings.Contains(r.body, `"code":"conflict"`) {
			t.Errorf("an iterator of somebody else: %d %s", r.status, r.body)
		}
		if got := idsOf(poll("?limit=2").object(t)); !slices.Equal(got, messages[2:4]) {
			t.Errorf("without an iterator it goes on: %v", got)
		}
		if got := idsOf(w.must(200, "GET", path+"/consumer/another%2Fone?limit=1", "")); !slices.Equal(got, messages[:1]) {
			t.Errorf("another consumer: %v", got)
		}
		w.must(404, "GET", "/app/acme/poller/none", "")
		w.must(404, "GET", "/app/acme/poller/none/consumer/c", "")
		w.must(422, "POST", path+"/consumer/c/seek", `{}`)
		w.must(422, "GET", path+"/consumer/c?iterator=x", "")
	})
}
