package bench

import (
	"context"
	"errors"
	"fanfare/internal/webhook"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// pages takes the times of the pages of the portal, with the largest history
// that is asked for.
func pages(ctx context.Context, b *run) error {
	w, err := b.world(ctx)
	if err != nil {
		return err
	}
	a, err := b.aged(ctx, w, b.History[len(b.History)-1])
	if err != nil {
		return err
	}
	// No page loads another one for us: redirects are pages of their own.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, name := range sortedKeys(a.Pages) {
		b.report.progress("looks at %s", name)
		var times []time.Duration
		for spent := time.Duration(0); len(times) < looks && spent < tooLong; {
			began := time.Now()
			if err := a.page(ctx, client, a.Pages[name]); err != nil {
				return err
			}
			times = append(times, time.Since(began))
			spent += times[len(times)-1]
		}
		b.report.figure(medianOf(times).Seconds()*1000, "ms", "%s (at first %s)", name, show(times[0]))
	}
	return nil
}

// page asks for a page as the browser of the account's owner does.
func (a *aged) page(ctx context.Context, client *http.Client, path string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, a.node.URL+path, http.NoBody)
	if err != nil {
		return err
	}
	q.AddCookie(&http.Cookie{Name: "fanfare", Value: a.Cookie}) //nolint:gosec // it goes out, not in
	answer, err := client.Do(q)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err == nil && answer.StatusCode/100 > 3 {
		err = fmt.Errorf("%s: answered %d", path, answer.StatusCode)
	}
	return err
}

// pages are the pages of the portal that are looked at, by what they show.
func (l *loader) pages() map[string]string {
	base := "/webhooks/" + accountName
	events, endpoint := base+"/events", base+"/endpoints/"+webhook.EndpointID.Format(l.big[0].ID)
	event := events + "/" + webhook.MessageID.Format(l.middle)
	with := func(path string, query ...[2]string) string {
		q := url.Values{}
		for _, pair := range query {
			q.Set(pair[0], pair[1])
		}
		return path + "?" + q.Encode()
	}
	dataset, nothing := [2]string{"dataset", accountName + "/photos-3"}, [2]string{"dataset", accountName + "/nothing"}
	frequent, rare := [2]string{"text", "photos"}, [2]string{"text", rareWord}
	wanted, once := [2]string{"type", typeOf(3)}, [2]string{"type", onceType}
	sample := func(prefix string) [2]string { return [2]string{"sample", prefix} }
	failed, day := [2]string{"status", "failed"}, [2]string{"since", time.Now().Add(-24 * time.Hour).UTC().Format("2006-01-02T15:04")}
	small := webhook.ApplicationID.Format(l.small[0].Application)
	return map[string]string{
		"account":                                "/account/" + accountName,
		"endpoints":                              base + "/endpoints",
		"endpoints, 7 days":                      base + "/endpoints?window=7d",
		"endpoint":                               endpoint,
		"endpoint, 7 days":                       endpoint + "?window=7d",
		"log, older":                             with(endpoint, [2]string{"before", webhook.AttemptID.Format(l.middle)}),
		"log, failed":                            with(endpoint, failed),
		"log, of a type that it never got":       with(endpoint, wanted),
		"log, of a dataset":                      with(endpoint, dataset),
		"log, of a dataset that is not there":    with(endpoint, nothing),
		"log, text that is there":                with(endpoint, frequent),
		"log, text that is not there":            with(endpoint, rare),
		"log, failed and text that is not there": with(endpoint, failed, rare),
		"edit an endpoint":                       endpoint + "/edit",
		"add an endpoint":                        base + "/endpoints/new",
		"send a test":                            endpoint + "/test",
		"replay: what failed since a day":        with(endpoint+"/replay", [2]string{"what", "failed"}, day),
		"replay: what it missed since a day":     with(endpoint+"/replay", [2]string{"what", "missed"}, day),
		"events":                                 events,
		"events, older":                          with(events, [2]string{"before", webhook.MessageID.Format(l.middle)}),
		"events, by id":                          with(events, [2]string{"find", webhook.MessageID.Format(l.middle)}),
		"events, of a type":                      with(events, wanted),
		"events, of a type that came once":       with(events, once),
		"events, of a dataset":                   with(events, dataset),
		"events, of a dataset that is not there": with(events, nothing),
		"events, of samples: three in all":       with(events, sample(rareSample)),
		"events, of samples: none":               with(events, sample("nobody")),
		"events, of samples: all but three":      with(events, sample("img_")),
		"events, of samples: a thousandth":       with(events, sample("img_01234")),
		"events, of samples and a dataset":       with(events, sample("img_01"), dataset),
		"events, of samples and another type":    with(events, sample("img_"), once),
		"events, text that is there":             with(events, frequent),
		"events, text that is not there":         with(events, rare),
		"events, text and type":                  with(events, rare, wanted),
		"event":                                  event,
		"event, raw":                             event + "?payload=raw",
		"catalogue":                              base + "/catalogue",
		"a type of the catalogue":                base + "/catalogue/sample.created",
		"verify":                                 base + "/verify",
		"docs":                                   "/docs/verify",
		"docs, search":                           "/docs/search?q=retry",
		"operator":                               "/operator",
		"operator: applications":                 "/operator/applications",
		"operator: applications, searched":       "/operator/applications?q=customer+9",
		"operator: an application":               "/operator/applications/" + webhook.ApplicationID.Format(l.account.Application),
		"operator: a small application":          "/operator/applications/" + small,
		"operator: event types":                  "/operator/event-types",
	}
}
