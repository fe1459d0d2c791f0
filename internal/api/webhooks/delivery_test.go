package webhooks

import (
	"fanfare/internal/webhook"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// states lists the messages of an endpoint with one status.
func (w *world) states(app, endpoint, status string) []string {
	w.t.Helper()
	return idsOf(w.must(200, "GET", "/app/"+app+"/endpoint/"+endpoint+"/msg?status="+status, ""))
}

func TestWhereAMessageStandsIsToldByEveryList(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		good := w.message("acme", `{"eventType":"good","payload":{"n":1}}`)
		w.receiver.next(t)
		w.receiver.answers(func(received) int { return http.StatusInternalServerError })
		// Four attempts, the fifth an hour away.
		waiting := w.message("acme", `{"eventType":"bad","payload":{"n":2},"channels":["c"],"tags":["t"]}`)
		for range len(schedule) {
			w.receiver.next(t)
		}
		w.eventually("an hour away", func() bool {
			return len(w.must(200, "GET", "/app/acme/attempt/msg/"+waiting, "")["data"].([]any)) == len(schedule) &&
				slices.Contains(w.states("acme", endpoint, "3"), waiting)
		})
		w.eventually("arrived", func() bool { return slices.Equal(w.states("acme", endpoint, "0"), []string{good}) })
		if got := w.states("acme", endpoint, "2"); got != nil {
			t.Errorf("failed for good: %v", got)
		}
		listed := w.must(200, "GET", "/app/acme/endpoint/"+endpoint+"/msg?tag=t&channel=c&with_content=false", "")["data"].([]any)[0].(map[string]any)
		if listed["status"] != 3.0 || listed["statusText"] != "sending" || listed["nextAttempt"] == nil || fmt.Sprint(listed["payload"]) != "map[]" {
			t.Errorf("waiting: %v", listed)
		}
		attempts := w.must(200, "GET", "/app/acme/attempt/msg/"+waiting+"?status=2&status_code_class=500", "")["data"].([]any)
		if len(attempts) != 4 {
			t.Errorf("%d attempts", len(attempts))
		}
		for query, want := range map[string]int{
			"status=0": 1, "status=2": 4, "status=1": 0, "status=3": 0, "status=4": 0, "status_code_class=200": 1, "status_code_class=400": 0,
			"event_types=good": 1, "channel=c": 4, "tag=t": 4, "tag=x": 0, "with_content=false": 5, "limit=2": 2,
		} {
			if got := w.must(200, "GET", "/app/acme/attempt/endpoint/"+endpoint+"?"+query, "")["data"].([]any); len(got) != want {
				t.Errorf("%s: %d attempts, want %d", query, len(got), want)
			}
		}
		for path, want := range map[string]int{
			"/app/acme/msg/" + waiting + "/attempt": 4, "/app/acme/msg/" + waiting + "/endpoint/" + endpoint + "/attempt": 4,
			"/app/acme/attempt/msg/" + waiting + "?endpoint_id=" + endpoint: 4,
		} {
			if got := w.must(200, "GET", path, "")["data"].([]any); len(got) != want {
				t.Errorf("%s: %d attempts, want %d", path, len(got), want)
			}
		}
		w.must(404, "GET", "/app/acme/attempt/msg/"+waiting+"?endpoint_id=ep_none", "")

		// A failed resend never stops what is planned; a disabled endpoint does.
		w.must(202, "POST", "/app/acme/msg/"+waiting+"/endpoint/"+endpoint+"/resend", "")
		w.receiver.next(t)
		w.eventually("the resend is recorded", func() bool {
			return len(w.must(200, "GET", "/app/acme/attempt/msg/"+waiting, "")["data"].([]any)) == 5
		})
		if got := w.states("acme", endpoint, "3"); !slices.Equal(got, []string{waiting}) {
			t.Errorf("after a resend that failed, still planned: %v", got)
		}
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"disabled":true}`)
		w.eventually("canceled", func() bool { return slices.Equal(w.states("acme", endpoint, "4"), []string{waiting}) })
		destination := w.must(200, "GET", "/app/acme/msg/"+waiting+"/endpoint", "")["data"].([]any)[0].(map[string]any)
		if destination["status"] != 4.0 || destination["statusText"] != "canceled" || destination["nextAttempt"] != nil || destination["id"] != endpoint {
			t.Errorf("canceled: %v", destination)
		}
		canceled := w.must(200, "GET", "/app/acme/attempt/endpoint/"+endpoint+"?status=4", "")["data"].([]any)
		if len(canceled) != 1 || canceled[0].(map[string]any)["statusText"] != "canceled" {
			t.Errorf("canceled: %v", canceled)
		}
		if stats := w.must(200, "GET", "/app/acme/endpoint/"+endpoint+"/stats", ""); stats["success"] != 1.0 || stats["fail"] != 5.0 || stats["canceled"] != 1.0 {
			t.Errorf("stats: %v", stats)
		}
		w.must(202, "POST", "/app/acme/msg/"+good+"/endpoint/"+endpoint+"/resend", "") // nothing is sent
		w.must(204, "DELETE", "/app/acme/endpoint/"+endpoint, "")
		if got := w.must(200, "GET", "/app/acme/msg/"+good+"/endpoint", "")["data"].([]any); len(got) != 1 {
			t.Errorf("a deleted endpoint is not listed: %v", got)
		}
	})
}

func TestReplaysSendWhatTheyShould(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		before := w.message("acme", `{"eventType":"a","payload":{"n":"before"}}`)
		w.receiver.next(t)
		fail := true
		w.receiver.answers(func(got received) int {
			if fail && strings.Contains(got.body, "fails") {
				return http.StatusGone + 1
			}
			return http.StatusOK
		})
		failed := w.message("acme", `{"eventType":"b","payload":{"n":"fails"},"channels":["x"]}`)
		for range len(schedule) {
			w.receiver.next(t)
		}
		w.eventually("it waits", func() bool { return slices.Contains(w.states("acme", endpoint, "3"), failed) })
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"disabled":true}`)
		w.eventually("canceled", func() bool { return slices.Contains(w.states("acme", endpoint, "4"), failed) })
		missed := w.message("acme", `{"eventType":"a","payload":{"n":"missed"}}`)
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"disabled":false}`)
		w.receiver.answers(nil)

		run := func(path, body string) (task map[string]any, sent []string) {
			t.Helper()
			started := w.must(202, "POST", "/app/acme/endpoint/"+endpoint+path, body)
			if started["status"] != "running" {
				t.Errorf("%s: %v", path, started)
			}
			w.runTasks()
			task = w.must(200, "GET", "/background-task/"+started["id"].(string), "")
			for range int(task["data"].(map[string]any)["messagesSent"].(float64)) {
				sent = append(sent, w.receiver.next(t).header.Get("Svix-Id"))
			}
			slices.Sort(sent)
			return task, sent
		}
		since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		task, sent := run("/replay-missing", `{"since":"`+since+`"}`)
		if !slices.Equal(sent, []string{missed}) || task["task"] != "endpoint.replay" || task["status"] != "finished" {
			t.Errorf("missing: %v %v; want %s", task, sent, missed)
		}
		w.eventually("it has arrived", func() bool { return slices.Contains(w.states("acme", endpoint, "0"), missed) })
		if task, sent = run("/replay-missing", `{"since":"`+since+`"}`); sent != nil {
			t.Errorf("missing, again: %v %v", task, sent)
		}
		if _, sent = run("/bulk-replay", `{"since":"`+since+`","skipSucceeded":true}`); !slices.Equal(sent, []string{failed}) {
			t.Errorf("what has not arrived: %v; want %s", sent, failed)
		}
		w.eventually("it has arrived", func() bool { return slices.Contains(w.states("acme", endpoint, "0"), failed) })
		all := []string{before, failed, missed}
		slices.Sort(all)
		for body, want := range map[string][]string{
			``: all, `,"eventTypes":["b"]`: {failed}, `,"channel":"x"`: {failed}, `,"channel":"y"`: nil, `,"statusCodeClass":400`: {failed},
			`,"status":2`: nil, `,"status":1`: nil, `,"status":0,"rate":1000`: all, `,"tag":"t"`: nil,
		} {
			if task, sent = run("/bulk-replay", `{"since":"`+since+`"`+body+`}`); !slices.Equal(sent, want) {
				t.Errorf("bulk %s: %v; want %v (%v)", body, sent, want, task)
			}
			if progress := task["progress"].(map[string]any); progress["total"] != float64(len(want)) || progress["done"] != float64(len(want)) {
				t.Errorf("bulk %s: %v", body, progress)
			}
		}

		// What fails and has not arrived is recovered, each once.
		w.receiver.answers(func(received) int { return http.StatusInternalServerError })
		again := w.message("acme", `{"eventType":"a","payload":{"n":"again"}}`)
		for range len(schedule) {
			w.receiver.next(t)
		}
		w.eventually("it waits", func() bool { return slices.Contains(w.states("acme", endpoint, "3"), again) })
		w.receiver.answers(nil)
		if task, sent = run("/recover", `{"since":"`+since+`"}`); !slices.Equal(sent, []string{again}) || task["task"] != "endpoint.recover" {
			t.Errorf("recovered: %v (%v)", sent, task)
		}
		w.eventually("it has arrived", func() bool { return slices.Contains(w.states("acme", endpoint, "0"), again) })
		if got := w.states("acme", endpoint, "3"); got != nil {
			t.Errorf("still planned after it arrived: %v", got)
		}
	})
}

func TestATaskCanBeCanceledAndSurvivesARestart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		for range 30 {
			w.message("acme", `{"eventType":"a","payload":{}}`)
			w.receiver.next(t)
		}
		w.eventually("all are recorded", func() bool { return len(w.states("acme", endpoint, "0")) == 30 })
		task := w.must(202, "POST", "/app/acme/endpoint/"+endpoint+"/bulk-replay", `{"since":"2020-01-01T00:00:00Z","rate":10}`)["id"].(string)
		step := func() time.Time {
			t.Helper()
			next, err := w.store.RunTask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		for range 3 { // it counts, finds the end, and sends a slice of ten
			step()
		}
		for range 10 {
			w.receiver.next(t)
		}
		got := w.must(200, "GET", "/background-task/"+task, "")
		if progress := got["progress"].(map[string]any); progress["total"] != 30.0 || progress["done"] != 10.0 || got["status"] != "running" || len(got["data"].(map[string]any)) != 0 {
			t.Errorf("on the way: %v", got)
		}
		if next := step(); time.Until(next) < 100*time.Millisecond {
			t.Errorf("the next slice of ten comes at %v", next)
		}
		if got := w.must(200, "POST", "/background-task/"+task+"/cancel", ""); got["status"] != "failed" || got["data"].(map[string]any)["messagesSent"] != 10.0 {
			t.Errorf("canceled: %v", got)
		}
		if next := step(); !next.IsZero() {
			t.Errorf("a task that was canceled goes on at %v", next)
		}
		for query, want := range map[string]int{"status=failed": 1, "status=running": 0, "task=endpoint.bulk-replay": 1, "task=endpoint.recover": 0} {
			if got := w.must(200, "GET", "/background-task?"+query, "")["data"].([]any); len(got) != want {
				t.Errorf("%s: %v", query, got)
			}
		}
		w.must(404, "GET", "/background-task/qtask_none", "")
	})
}

func TestTheEnvironmentHearsOfItself(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		operations := newReceiver(t)
		w.must(201, "POST", "/operational-webhook/endpoint", fmt.Sprintf(`{"url":%q}`, operations.url))
		if apps := w.must(200, "GET", "/app", "")["data"].([]any); len(apps) != 0 {
			t.Errorf("applications: %v", apps)
		}
		next := func(want string, parts ...string) {
			t.Helper()
			got := operations.next(t).body
			for _, part := range append(parts, `"type":"`+want+`"`) {
				if !strings.Contains(got, part) {
					t.Errorf("heard %s; want %s with %s", got, want, part)
				}
			}
		}
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		endpoint := w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"e"}`, w.receiver.url))["id"].(string)
		ids := []string{`"appUid":"acme"`, `"endpointId":"` + endpoint + `"`}
		next("endpoint.created", append(ids, `"endpointUid":"e"`)...)
		w.must(204, "POST", "/app/acme/endpoint/e/secret/rotate", `{}`)
		next("endpoint.updated", ids...)

		w.receiver.answers(func(received) int { return http.StatusInternalServerError })
		message := w.message("acme", `{"eventType":"a","eventId":"evt","payload":{}}`)
		next("message.attempt.failing", append(ids, `"msgEventId":"evt"`, `"msgId":"`+message+`"`, `"responseStatusCode":500`, `"id":"atmpt_`)...)
		w.receiver.answers(nil)
		w.eventually("it waits", func() bool { return slices.Contains(w.states("acme", endpoint, "3"), message) })

		w.receiver.answers(func(received) int { return http.StatusGone })
		w.message("acme", `{"eventType":"a","payload":{}}`)
		heard := operations.next(t).body + operations.next(t).body
		if !strings.Contains(heard, `"message.attempt.exhausted"`) || !strings.Contains(heard, `"endpoint.disabled"`) ||
			!strings.Contains(heard, `"trigger":"automatic"`) || !strings.Contains(heard, `"failSince":"`) {
			t.Errorf("after 410: %s", heard)
		}
		w.must(200, "PATCH", "/app/acme/endpoint/e", `{"disabled":false}`)
		heard = operations.next(t).body + operations.next(t).body
		if !strings.Contains(heard, `"endpoint.updated"`) || !strings.Contains(heard, `"endpoint.enabled"`) {
			t.Errorf("after it was enabled: %s", heard)
		}
		w.must(204, "DELETE", "/app/acme/endpoint/e", "")
		next("endpoint.deleted", ids...)
		w.must(202, "PUT", "/stats/usage/event-types", "")
		w.runTasks()
		next("background_task.finished", `"status":"finished"`, `"task":"event-type.aggregate"`)
	})
}

func TestOldKeysGoOnSigningForAsLongAsAsked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		path := "/app/acme/endpoint/" + endpoint + "/secret"
		signatures := func() int {
			w.message("acme", `{"eventType":"a","payload":{}}`)
			return len(strings.Fields(w.receiver.next(t).header.Get("Svix-Signature")))
		}
		for range webhook.MaxOldSecrets {
			w.must(204, "POST", path+"/rotate", `{}`)
		}
		if r := w.do("POST", path+"/rotate", `{}`); r.status != 400 || !strings.Contains(r.body, `"limit_reached"`) {
			t.Errorf("the 11th: %d %s", r.status, r.body)
		}
		if n := signatures(); n != 11 {
			t.Errorf("%d signatures", n)
		}
		own := "whsec_" + strings.Repeat("QUJD", 10)
		w.must(200, "PATCH", "/app/acme/endpoint/"+endpoint, `{"secret":"`+own+`"}`)
		if got := w.must(200, "GET", path, "")["key"]; got != own {
			t.Errorf("the key: %v", got)
		}
		w.must(204, "POST", path+"/rotate", `{"gracePeriodSeconds":0,"key":"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="}`)
		if got := w.must(200, "GET", path, "")["key"]; got != "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=" {
			t.Errorf("the public key: %v", got)
		}
		w.message("acme", `{"eventType":"a","payload":{}}`)
		if got := w.receiver.next(t).header.Get("Svix-Signature"); !strings.HasPrefix(got, "v1a,") {
			t.Errorf("signed: %s", got)
		}
	})
}

func TestPollersReadEverythingInOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme"}`)
		w.message("acme", `{"eventType":"a","payload":{"n":"too early"}}`)
		<-time.After(2 * time.Millisecond) // ids are told apart by the millisecond
		w.must(201, "POST", "/event-type", `{"name":"a","description":""}`)
		w.must(201, "POST", "/app/acme/endpoint", `{"url":"https://example.com","uid":"sink","disabled":true,"eventTypes":["a"]}`)
		var messages []string
		for i := range 7 {
			messages = append(messages, w.message("acme", fmt.Sprintf(`{"eventType":"a","payload":{"n":%d},"channels":["c%d"]}`, i, i%2)))
			w.message("acme", `{"eventType":"b","payload":{}}`)
		}
		poll := func(query string) (ids []string, page map[string]any) {
			t.Helper()
			page = w.must(200, "GET", "/app/acme/poller/sink"+query, "")
			return idsOf(page), page
		}
		var got []string
		iterator := ""
		for {
			ids, page := poll("?limit=3&iterator=" + iterator)
			got, iterator = append(got, ids...), page["iterator"].(string)
			if page["done"] == true {
				break
			}
		}
		if !slices.Equal(got, messages) {
			t.Errorf("polled %v; want %v", got, messages)
		}
		if ids, _ := poll("?iterator=" + iterator); ids != nil {
			t.Errorf("polled again: %v", ids)
		}
		late := w.message("acme", `{"eventType":"a","payload":{"n":"late"}}`)
		if ids, _ := poll("?iterator=" + iterator); !slices.Equal(ids, []string{late}) {
			t.Errorf("what came later: %v; want %s", ids, late)
		}
		if ids, _ := poll("?channel=c1&event_type=a"); !slices.Equal(ids, []string{messages[1], messages[3], messages[5]}) {
			t.Errorf("of a channel: %v", ids)
		}
		if ids, _ := poll("?after=2100-01-01T00:00:00Z"); ids != nil {
			t.Errorf("of the future: %v", ids)
		}

		const consumer = "/consumer/me%20too"
		first, page := poll(consumer + "?limit=3")
		if again, _ := poll(consumer + "?limit=3"); !slices.Equal(again, first) || !slices.Equal(first, messages[:3]) {
			t.Errorf("without an iterator: %v, then %v", first, again)
		}
		offered := page["iterator"].(string)
		second, _ := poll(consumer + "?limit=3&iterator=" + offered)
		if !slices.Equal(second, messages[3:6]) {
			t.Errorf("with the iterator: %v", second)
		}
		sought := w.must(200, "POST", "/app/acme/poller/sink"+consumer+"/seek", `{"after":"2020-01-01T00:00:00Z"}`)
		if r := w.do("GET", "/app/acme/poller/sink"+consumer+"?iterator="+offered, ""); r.status != 409 {
			t.Errorf("an iterator from before the seek: %d %s", r.status, r.body)
		}
		if ids, _ := poll(consumer + "?limit=3&iterator=" + sought["iterator"].(string)); !slices.Equal(ids, first) {
			t.Errorf("after the seek: %v", ids)
		}
	})
}

func TestTheRateOfAnApplicationHoldsForAllItsEndpoints(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(201, "POST", "/app", `{"name":"Acme","uid":"acme","throttleRate":20}`)
		for range 2 {
			w.must(201, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url":%q}`, w.receiver.url))
		}
		start := time.Now()
		for range 5 {
			w.message("acme", `{"eventType":"a","payload":{}}`)
		}
		for range 10 {
			w.receiver.next(t)
		}
		// Ten calls at 20 a second: nine gaps of 50 ms, whatever the machine does.
		if took := time.Since(start); took < 9*50*time.Millisecond {
			t.Errorf("ten calls at 20 a second took %v", took)
		}
	})
}

func TestReadOnlyTokensOnlyRead(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		endpoint := w.app("acme")
		message := w.message("acme", `{"eventType":"a","payload":{}}`)
		w.receiver.next(t)
		path := "/app/acme/endpoint/" + endpoint
		for _, c := range []struct {
			name, access string
			allowed      []string
		}{
			{"read-only", `{"readOnly":true}`, []string{"GET " + path, "GET /app/acme/msg"}},
			{"for attempts", `{"capabilities":["ViewBase","CreateAttempts"]}`, []string{"GET " + path, "GET /app/acme/msg", "POST /app/acme/msg/" + message + "/endpoint/" + endpoint + "/resend"}},
			{"for secrets", `{"capabilities":["ViewEndpointSecret","ManageEndpointSecret"]}`, []string{"GET " + path + "/secret", "POST " + path + "/secret/rotate"}},
		} {
			token := w.must(200, "POST", "/auth/app-portal-access/acme", c.access)["token"].(string)
			for _, route := range []string{
				"GET " + path, "GET /app/acme/msg", "GET " + path + "/secret", "POST " + path + "/secret/rotate", "PATCH " + path,
				"POST /app/acme/msg/" + message + "/endpoint/" + endpoint + "/resend", "PUT " + path + "/headers", "DELETE " + path,
			} {
				method, where, _ := strings.Cut(route, " ")
				r := w.do(method, where, `{}`, "Authorization", "Bearer "+token)
				if want := slices.Contains(c.allowed, route); want != (r.status < 300) || !want && r.status != 403 {
					t.Errorf("%s: %s: %d %s", c.name, route, r.status, r.body)
				}
			}
		}
	})
}

func TestTokensOfASessionExpireTogether(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.app("acme")
		access := func(body string) string {
			return w.must(200, "POST", "/auth/app-portal-access/acme", body)["token"].(string)
		}
		jane, john, both := access(`{"sessionId":"jane"}`), access(`{"sessionId":"john"}`), access(`{}`)
		works := func(token string) bool {
			return w.do("GET", "/app/acme", "", "Authorization", "Bearer "+token).status == 200
		}
		w.must(204, "POST", "/auth/app/acme/expire-all", `{"sessionIds":["jane"]}`)
		if works(jane) || !works(john) || !works(both) {
			t.Error("the tokens of one session")
		}
		w.must(204, "POST", "/auth/app/acme/expire-all", `{"expiry":3600}`)
		if !works(john) {
			t.Error("an hour early")
		}
		w.must(204, "POST", "/auth/app/acme/expire-all", ``)
		if works(john) || works(both) {
			t.Error("all tokens")
		}
	})
}
