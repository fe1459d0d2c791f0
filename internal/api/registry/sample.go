package registry

import (
	"encoding/json"
	"errors"
	"fanfare/internal/registry"
	"fanfare/internal/store"
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func (a *API) samples(r *request) (answer, error) {
	query := r.sampleQuery()
	d, err := a.store.Dataset(r.Context(), r.caller.ID, r.dataset())
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, stream: func(w io.Writer) error {
		before := "["
		err := a.store.EachSample(r.Context(), d, query, func(s store.ListedSample) error {
			_, err := w.Write(listedObject(d, s, &query).Append([]byte(before)))
			before = ","
			return err
		})
		if err == nil && before == "[" {
			_, err = io.WriteString(w, "[")
		}
		if err == nil {
			_, err = io.WriteString(w, "]")
		}
		return err
	}}, nil
}

// listedObject is a sample as lists show it, with its label when the query
// names a labelset.
func listedObject(d *registry.Dataset, s store.ListedSample, query *store.SampleQuery) registry.Object {
	switch {
	case s.Label == nil || query.Labelset == "":
		return s.Shown(d, nil)
	case query.Full:
		return s.Shown(d, s.Label.Object(d, s.Sample).Append(nil))
	default:
		return s.Shown(d, s.Label.Summary().Append(nil))
	}
}

func sampleList(d *registry.Dataset, samples []*registry.Sample) []byte {
	objects := make([]registry.Object, len(samples))
	for i, s := range samples {
		objects[i] = s.Shown(d, nil)
	}
	return registry.List(objects)
}

func (a *API) sample(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	d, s, err := a.store.Sample(r.Context(), r.caller.ID, sampleID)
	if err != nil {
		return answer{}, err
	}
	// Clients put a second question mark between two parameters.
	labelset, _, _ := strings.Cut(r.URL.Query().Get("labelset"), "?")
	if labelset == "" {
		return ok(s.Shown(d, nil)), nil
	}
	_, _, l, err := a.store.Label(r.Context(), r.caller.ID, sampleID, labelset)
	switch {
	case err == nil:
		return ok(s.Shown(d, l.Object(d, s).Append(nil))), nil
	case errors.Is(err, webhook.ErrNotFound):
		return ok(s.Shown(d, nil)), nil
	default:
		return answer{}, err
	}
}

func (a *API) createSample(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	d, s, err := a.store.CreateSample(r.Context(), r.caller, r.dataset(), fields)
	if err != nil {
		return answer{}, err
	}
	return created(s.Shown(d, nil)), nil
}

func (a *API) createSamples(r *request) (answer, error) {
	body, err := web.Text(r.body)
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	sent, isList := registry.ReadList(body)
	if !isList {
		return answer{}, a.wrong(r, web.ErrSyntax)
	}
	items := make([]registry.Fields, len(sent))
	for i := range sent {
		var wrong webhook.Invalid
		if items[i], wrong = registry.Create(r.op.body, sent[i]); len(wrong) > 0 {
			return answer{}, a.wrong(r, wrong)
		}
	}
	d, samples, err := a.store.CreateSamples(r.Context(), r.caller, r.dataset(), items)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: sampleList(d, samples)}, nil
}

func (a *API) updateSample(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	patch, err := r.patch()
	if err != nil {
		return answer{}, a.wrongSample(r, sampleID, registry.SampleRole(patch), err)
	}
	d, s, err := a.store.UpdateSample(r.Context(), r.caller.ID, sampleID, patch)
	if err != nil {
		return answer{}, err
	}
	return ok(s.Shown(d, nil)), nil
}

func (a *API) deleteSample(r *request) (answer, error) {
	sampleID, err := r.id("sample")
	if err != nil {
		return answer{}, err
	}
	return noContent, a.store.DeleteSample(r.Context(), r.caller.ID, sampleID)
}

// deleteSamples deletes those that are named. A malformed id names nothing.
func (a *API) deleteSamples(r *request) (answer, error) {
	fields, err := r.create()
	if err != nil {
		return answer{}, a.wrong(r, err)
	}
	var ids []webhook.ID
	for _, text := range fields.Strings("uuids") {
		if id, err := registry.ParseUUID(text); err == nil {
			ids = append(ids, id)
		}
	}
	n, err := a.store.DeleteSamples(r.Context(), r.caller.ID, r.dataset(), ids)
	return answer{status: http.StatusOK, body: append(strconv.AppendInt([]byte(`{"deleted_count":`), n, 10), '}')}, err
}

// The bounds of a page.
const (
	defaultPerPage = 1000
	maxPerPage     = 10_000
)

// page reads which part of a list is asked for. What is malformed counts as
// not said: clients send such things.
func (r *request) page() store.Slice {
	limit := min(r.positive("per_page", defaultPerPage), maxPerPage)
	number := min(r.positive("page", 1), 1<<40)
	return store.Slice{Limit: limit, Offset: (number - 1) * limit}
}

func (r *request) positive(name string, otherwise int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// sampleQuery reads the query of a list of samples.
func (r *request) sampleQuery() store.SampleQuery {
	q := store.SampleQuery{Slice: r.page(), Sort: "name"}
	query := r.URL.Query()
	sort, descending := strings.CutPrefix(query.Get("sort"), "-")
	if store.SampleSorts[sort] != "" {
		q.Sort, q.Descending = sort, descending
	}
	labelset, _, _ := strings.Cut(query.Get("labelset"), "?")
	q.Labelset, q.Full = labelset, labelset != "" && query.Get("include_full_label") == "1"
	contains := query.Get("name__contains")
	metadata := map[string]string{}
	for entry := range strings.SplitSeq(query.Get("filters"), ",") {
		if key, value, ok := strings.Cut(entry, ":"); ok {
			metadata[key] = value
		}
	}
	statuses := registry.KnownStatuses(strings.Split(query.Get("label_status"), ","))
	if contains == "" && len(metadata) == 0 && len(statuses) == 0 {
		return q
	}
	q.Match = func(name string, raw json.RawMessage, status string) bool {
		return strings.Contains(name, contains) && registry.MetadataHas(raw, metadata) && registry.StatusIn(status, statuses)
	}
	return q
}
