package webhooks

import (
	"context"
	"errors"
	"fanfare/internal/store/storetest"
	"net/url"
	"strings"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"
)

func (w *world) client(token string) *svix.Svix {
	w.t.Helper()
	server, err := url.Parse(strings.TrimSuffix(w.url, Prefix))
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := svix.New(token, &svix.SvixOptions{ServerUrl: server})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// ok is the answer of a call that must not fail.
func ok[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		return v
	}
}

// refused is the status of a call that must fail.
func refused[T any](t *testing.T) func(T, error) int {
	t.Helper()
	return func(v T, err error) int {
		t.Helper()
		e, ok := errors.AsType[*svix.Error](err)
		if !ok {
			t.Fatalf("%T %+v, %v: want an error of the API", v, v, err)
		}
		return e.Status()
	}
}

func TestTheGoSDKWorksUnchanged(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, ctx := w.client(w.token), t.Context()

		ok[*models.EventTypeOut](t)(s.EventType.Create(ctx, models.EventTypeIn{
			Name: "invoice.paid", Description: "An invoice was paid.",
			Schemas: &map[string]any{"1": map[string]any{"type": "object", "examples": []any{map[string]any{"invoice": "in_1"}}}},
		}, nil))

		app := ok[*models.ApplicationOut](t)(s.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: new("acme")}, nil))
		again := ok[*models.ApplicationOut](t)(s.Application.GetOrCreate(ctx, models.ApplicationIn{Name: "Other", Uid: new("acme")}, nil))
		if again.Id != app.Id || again.Name != "Acme" {
			t.Errorf("get-or-create returned %+v", again)
		}
		if status := refused[*models.ApplicationOut](t)(s.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: new("acme")}, nil)); status != 409 {
			t.Errorf("a second application with the uid: %d", status)
		}
		ok[*models.ApplicationOut](t)(s.Application.Patch(ctx, "acme", models.ApplicationPatch{Name: new("Acme Inc")}))
		if got := ok[*models.ApplicationOut](t)(s.Application.Get(ctx, app.Id)); got.Name != "Acme Inc" || *got.Uid != "acme" {
			t.Errorf("after the patch: %+v", got)
		}

		endpoint := ok[*models.EndpointOut](t)(s.Endpoint.Create(ctx, "acme", models.EndpointIn{
			Url: w.receiver.url + "/hook", Uid: new("main"), Description: new("billing"), FilterTypes: []string{"invoice.paid"},
			Headers: &map[string]string{"X-Team": "billing", "Authorization": "Bearer secret"},
		}, nil))
		if endpoint.Description != "billing" || len(endpoint.FilterTypes) != 1 {
			t.Errorf("the endpoint: %+v", endpoint)
		}
		headers := ok[*models.EndpointHeadersOut](t)(s.Endpoint.GetHeaders(ctx, "acme", "main"))
		if headers.Headers["X-Team"] != "billing" || len(headers.Sensitive) != 1 || headers.Sensitive[0] != "Authorization" {
			t.Errorf("headers: %+v", headers)
		}
		secret := ok[*models.EndpointSecretOut](t)(s.Endpoint.GetSecret(ctx, "acme", "main")).Key

		message := ok[*models.MessageOut](t)(s.Message.Create(ctx, "acme", models.MessageIn{
			EventType: "invoice.paid", EventId: new("evt-1"), Payload: map[string]any{"invoice": "in_1"}, Tags: []string{"a/b"},
		}, nil))
		got := w.receiver.next(t)
		verifier, err := svix.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify([]byte(got.body), got.header); err != nil {
			t.Errorf("the signature: %v", err)
		}
		if got.header.Get("Svix-Id") != message.Id || got.header.Get("Webhook-Id") != message.Id || got.header.Get("X-Team") != "billing" {
			t.Errorf("headers that arrived: %v", got.header)
		}

		var attempts *models.ListResponseMessageAttemptOut
		w.eventually("an attempt is listed", func() bool {
			attempts = ok[*models.ListResponseMessageAttemptOut](t)(s.MessageAttempt.ListByMsg(ctx, "acme", "evt-1", nil))
			return len(attempts.Data) == 1
		})
		if a := attempts.Data[0]; a.ResponseStatusCode != 200 || a.Response != "thanks" || a.EndpointId != endpoint.Id || !attempts.Done {
			t.Errorf("the attempt: %+v", attempts)
		}
		ok[*models.MessageAttemptOut](t)(s.MessageAttempt.Get(ctx, "acme", message.Id, attempts.Data[0].Id, nil))
		byEndpoint := ok[*models.ListResponseMessageAttemptOut](t)(s.MessageAttempt.ListByEndpoint(ctx, "acme", "main",
			&svix.MessageAttemptListByEndpointOptions{EventTypes: &[]string{"invoice.paid", "other"}, WithMsg: new(true), Tag: new("a/b")}))
		if len(byEndpoint.Data) != 1 {
			t.Errorf("attempts of the endpoint: %+v", byEndpoint)
		}
		messages := ok[*models.ListResponseEndpointMessageOut](t)(s.MessageAttempt.ListAttemptedMessages(ctx, "acme", "main", nil))
		if len(messages.Data) != 1 || messages.Data[0].Status != models.MESSAGESTATUS_SUCCESS {
			t.Errorf("messages of the endpoint: %+v", messages)
		}
		destinations := ok[*models.ListResponseMessageEndpointOut](t)(s.MessageAttempt.ListAttemptedDestinations(ctx, "acme", message.Id, nil))
		if len(destinations.Data) != 1 || destinations.Data[0].Id != endpoint.Id {
			t.Errorf("endpoints of the message: %+v", destinations)
		}
		stats := ok[*models.EndpointStats](t)(s.Endpoint.GetStats(ctx, "acme", "main", nil))
		if stats.Success != 1 {
			t.Errorf("stats: %+v", stats)
		}

		ok[*models.EmptyResponse](t)(s.MessageAttempt.Resend(ctx, "acme", message.Id, endpoint.Id, nil))
		if again := w.receiver.next(t); again.body != got.body || again.header.Get("Svix-Id") != message.Id {
			t.Errorf("the resend differs: %+v", again)
		}
		ok[*models.MessageOut](t)(s.Endpoint.SendExample(ctx, "acme", "main", models.EventExampleIn{EventType: "invoice.paid"}, nil))
		if example := w.receiver.next(t); example.body != `{"invoice":"in_1"}` {
			t.Errorf("the example: %s", example.body)
		}

		if err := s.Endpoint.UpdateHeaders(ctx, "acme", "main", models.EndpointHeadersIn{Headers: map[string]string{"X-A": "1", "X-B": "2"}}); err != nil {
			t.Error(err)
		}
		if err := s.Endpoint.PatchHeaders(ctx, "acme", "main", models.EndpointHeadersPatchIn{DeleteHeaders: []string{"x-a"}, Headers: map[string]string{"X-C": "3"}}); err != nil {
			t.Error(err)
		}
		if h := ok[*models.EndpointHeadersOut](t)(s.Endpoint.GetHeaders(ctx, "acme", "main")).Headers; len(h) != 2 || h["X-B"] != "2" || h["X-C"] != "3" {
			t.Errorf("after the patch: %v", h)
		}
		if err := s.Endpoint.RotateSecret(ctx, "acme", "main", models.EndpointSecretRotateIn{}, nil); err != nil {
			t.Error(err)
		}
		if rotated := ok[*models.EndpointSecretOut](t)(s.Endpoint.GetSecret(ctx, "acme", "main")).Key; rotated == secret {
			t.Error("the secret is as it was")
		}
		patched := ok[*models.EndpointOut](t)(s.Endpoint.Patch(ctx, "acme", "main", models.EndpointPatch{
			FilterTypes: utils.NewNullableFromPtr[[]string](nil), ThrottleRate: utils.NewNullable[uint16](7),
		}))
		if patched.FilterTypes != nil || *patched.ThrottleRate != 7 || *patched.RateLimit != 7 || patched.Description != "billing" {
			t.Errorf("patched: %+v", patched)
		}
		updated := ok[*models.EndpointOut](t)(s.Endpoint.Update(ctx, "acme", "main", models.EndpointUpdate{Url: w.receiver.url + "/new"}))
		if updated.Uid != nil || updated.Description != "" || updated.Url != w.receiver.url+"/new" {
			t.Errorf("updated: %+v", updated)
		}

		w.sdkTasks(ctx, s, endpoint.Id)
		w.sdkRest(ctx, s, endpoint.Id, message.Id, attempts.Data[0].Id)
	})
}

// sdkTasks calls what starts background tasks.
func (w *world) sdkTasks(ctx context.Context, s *svix.Svix, endpoint string) {
	w.t.Helper()
	t := w.t
	since := time.Now().Add(-time.Hour)
	ids := []string{
		ok[*models.RecoverOut](t)(s.Endpoint.Recover(ctx, "acme", endpoint, models.RecoverIn{Since: since}, nil)).Id,
		ok[*models.ReplayOut](t)(s.Endpoint.ReplayMissing(ctx, "acme", endpoint, models.ReplayIn{Since: since}, nil)).Id,
		ok[*models.ReplayOut](t)(s.Endpoint.BulkReplay(ctx, "acme", endpoint, models.BulkReplayIn{Since: since, EventTypes: []string{"invoice.paid"}}, nil)).Id,
		ok[*models.AppUsageStatsOut](t)(s.Statistics.AggregateAppStats(ctx, models.AppUsageStatsIn{Since: since, Until: time.Now().Add(time.Minute)}, nil)).Id,
		ok[*models.AggregateEventTypesOut](t)(s.Statistics.AggregateEventTypes(ctx)).Id,
		ok[*models.ExpungeAllContentsOut](t)(s.Message.ExpungeAllContents(ctx, "acme", nil)).Id,
	}
	w.runTasks()
	for _, id := range ids {
		task := ok[*models.BackgroundTaskOut](t)(s.BackgroundTask.Get(ctx, id))
		if task.Status != models.BACKGROUNDTASKSTATUS_FINISHED {
			t.Errorf("the task: %+v", task)
		}
	}
	list := ok[*models.ListResponseBackgroundTaskOut](t)(s.BackgroundTask.List(ctx, &svix.BackgroundTaskListOptions{Limit: new(uint64(100))}))
	if len(list.Data) != len(ids) || list.Data[0].Id != ids[len(ids)-1] {
		t.Errorf("tasks: %+v", list)
	}
}

// sdkRest calls everything else.
func (w *world) sdkRest(ctx context.Context, s *svix.Svix, endpoint, message, attempt string) {
	w.t.Helper()
	t := w.t
	if err := s.MessageAttempt.ExpungeContent(ctx, "acme", message, attempt); err != nil {
		t.Error(err)
	}
	if a := ok[*models.MessageAttemptOut](t)(s.MessageAttempt.Get(ctx, "acme", message, attempt, nil)); a.Response != "EXPUNGED" {
		t.Errorf("expunged: %+v", a)
	}
	if err := s.Message.ExpungeContent(ctx, "acme", message); err != nil {
		t.Error(err)
	}
	if m := ok[*models.MessageOut](t)(s.Message.Get(ctx, "acme", message, nil)); m.Payload["expired"] != true {
		t.Errorf("expunged: %+v", m)
	}
	if status := refused[*models.EmptyResponse](t)(s.MessageAttempt.Resend(ctx, "acme", message, endpoint, nil)); status != 400 {
		t.Errorf("resend of what was expunged: %d", status)
	}
	if !ok[*models.MessagePrecheckOut](t)(s.Message.Precheck(ctx, "acme", models.MessagePrecheckIn{EventType: "any"}, nil)).Active {
		t.Error("nobody would get it")
	}
	listed := ok[*models.ListResponseMessageOut](t)(s.Message.List(ctx, "acme", &svix.MessageListOptions{Tag: new("a/b"), WithContent: new(false)}))
	if len(listed.Data) != 1 || len(listed.Data[0].Payload) != 0 {
		t.Errorf("messages: %+v", listed)
	}
	polled := ok[*models.PollingEndpointOut](t)(s.Message.Poller.Poll(ctx, "acme", endpoint, nil))
	if len(polled.Data) != 2 || !polled.Done {
		t.Errorf("polled: %+v", polled)
	}
	consumed := ok[*models.PollingEndpointOut](t)(s.Message.Poller.ConsumerPoll(ctx, "acme", endpoint, "one", nil))
	if len(consumed.Data) != 2 {
		t.Errorf("consumed: %+v", consumed)
	}
	ok[*models.PollingEndpointConsumerSeekOut](t)(s.Message.Poller.ConsumerSeek(ctx, "acme", endpoint, "one",
		models.PollingEndpointConsumerSeekIn{After: time.Now().Add(time.Hour)}, nil))

	types := ok[*models.ListResponseEventTypeOut](t)(s.EventType.List(ctx, &svix.EventTypeListOptions{WithContent: new(true)}))
	if len(types.Data) != 1 || types.Data[0].Schemas == nil {
		t.Errorf("event types: %+v", types)
	}
	ok[*models.EventTypeOut](t)(s.EventType.Update(ctx, "invoice.sent", models.EventTypeUpdate{Description: "An invoice was sent."}))
	ok[*models.EventTypeOut](t)(s.EventType.Patch(ctx, "invoice.sent", models.EventTypePatch{Deprecated: new(true)}))
	if got := ok[*models.EventTypeOut](t)(s.EventType.Get(ctx, "invoice.sent")); !got.Deprecated {
		t.Errorf("patched: %+v", got)
	}
	imported := ok[*models.EventTypeImportOpenApiOut](t)(s.EventType.ImportOpenapi(ctx, models.EventTypeImportOpenApiIn{
		SpecRaw: new("openapi: 3.1.0\nwebhooks:\n  user.created:\n    post:\n      description: A user was created.\n"),
	}, nil))
	if len(imported.Data.Modified) != 1 || imported.Data.Modified[0] != "user.created" {
		t.Errorf("imported: %+v", imported)
	}
	if err := s.EventType.Delete(ctx, "invoice.sent", &svix.EventTypeDeleteOptions{Expunge: new(true)}); err != nil {
		t.Error(err)
	}

	operational := ok[*models.OperationalWebhookEndpointOut](t)(s.OperationalWebhook.Endpoint.Create(ctx, models.OperationalWebhookEndpointIn{
		Url: w.receiver.url + "/operations", FilterTypes: []string{"endpoint.created"},
	}, nil))
	ok[*models.ListResponseOperationalWebhookEndpointOut](t)(s.OperationalWebhook.Endpoint.List(ctx, nil))
	ok[*models.OperationalWebhookEndpointSecretOut](t)(s.OperationalWebhook.Endpoint.GetSecret(ctx, operational.Id))
	created := ok[*models.EndpointOut](t)(s.Endpoint.Create(ctx, "acme", models.EndpointIn{Url: w.receiver.url + "/second"}, nil))
	for {
		if got := w.receiver.next(t); got.path == "/operations" {
			if !strings.Contains(got.body, created.Id) {
				t.Errorf("operational webhook: %s", got.body)
			}
			break
		}
	}
	if err := s.OperationalWebhook.Endpoint.Delete(ctx, operational.Id); err != nil {
		t.Error(err)
	}

	access := ok[*models.AppPortalAccessOut](t)(s.Authentication.AppPortalAccess(ctx, "acme", models.AppPortalAccessIn{}, nil))
	if !strings.HasPrefix(access.Url, "http://public.example/webhooks/access/") {
		t.Errorf("portal access: %+v", access)
	}
	theirs := w.client(access.Token)
	ok[*models.ListResponseEndpointOut](t)(theirs.Endpoint.List(ctx, "acme", nil))
	if status := refused[*models.ListResponseApplicationOut](t)(theirs.Application.List(ctx, nil)); status != 403 {
		t.Errorf("an application lists applications: %d", status)
	}
	if err := theirs.Authentication.Logout(ctx, nil); err != nil {
		t.Error(err)
	}
	if status := refused[*models.ListResponseEndpointOut](t)(theirs.Endpoint.List(ctx, "acme", nil)); status != 401 {
		t.Errorf("after logout: %d", status)
	}
	if err := s.Authentication.ExpireAll(ctx, "acme", models.ApplicationTokenExpireIn{}, nil); err != nil {
		t.Error(err)
	}
	if err := s.Health.Get(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Endpoint.Delete(ctx, "acme", created.Id); err != nil {
		t.Error(err)
	}
	if err := s.Application.Delete(ctx, "acme"); err != nil {
		t.Error(err)
	}
	if status := refused[*models.ApplicationOut](t)(s.Application.Get(ctx, "acme")); status != 404 {
		t.Errorf("after the delete: %d", status)
	}
}

func TestEveryRouteIsCalledByTheTestsOfTheSDKOrTheWire(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	api := New(s, storetest.Log(t), Config{})
	seen := map[string]bool{}
	for i := range api.operations {
		op := &api.operations[i]
		if seen[op.id] {
			t.Errorf("two operations are named %s", op.id)
		}
		seen[op.id] = true
		if op.body != nil && op.example == "" {
			t.Errorf("%s has no example", op.id)
		}
		if op.access == forApplication && op.can == "" {
			t.Errorf("%s does not say what a token must be able to do", op.id)
		}
		if op.can != "" && op.access != forApplication {
			t.Errorf("%s asks for the capability %s of nobody", op.id, op.can)
		}
	}
}
