package demo

import (
	"context"
	"encoding/json"
	"fanfare/internal/egress"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"
)

// feed changes the dataset jane/flowers through the public API.
type feed struct {
	url, key string
	client   *egress.Client
	samples  []string
	count    int
}

// The pace of the feed: a burst so that there is something to see at once, then
// a change now and then.
const (
	firstChanges = 12
	pace         = 4 * time.Second
	keepSamples  = 30
)

func (f *feed) run(ctx context.Context) error {
	// The way out is guarded; the feed talks to its own node, on loopback.
	f.client = egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	defer f.client.Close()
	err := f.call(ctx, http.MethodPost, "/user/datasets/", map[string]any{
		"name": "flowers", "description": "Flowers of our garden", "category": "garden", "task_type": "vector",
		"task_attributes": map[string]any{"format_version": "0.1", "categories": []any{
			map[string]any{"name": "rose", "id": 1, "color": []int{214, 40, 90}},
			map[string]any{"name": "tulip", "id": 2, "color": []int{240, 180, 30}},
		}},
	}, nil)
	if err != nil {
		return err
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := f.change(ctx); err != nil {
			return err
		}
		if n < firstChanges {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// change makes one change: mostly a new sample, now and then a changed or
// deleted one.
func (f *feed) change(ctx context.Context) error {
	dice := rand.IntN(10)
	switch {
	case len(f.samples) > keepSamples || len(f.samples) > 3 && dice == 0:
		gone := f.samples[0]
		f.samples = f.samples[1:]
		return f.call(ctx, http.MethodDelete, "/samples/"+gone+"/", nil, nil)
	case len(f.samples) > 2 && dice < 4:
		which := f.samples[rand.IntN(len(f.samples))]
		return f.call(ctx, http.MethodPatch, "/samples/"+which+"/", map[string]any{
			"priority": rand.IntN(100), "metadata": map[string]any{"weather": []string{"sun", "rain", "snow"}[rand.IntN(3)]},
		}, nil)
	case len(f.samples) > 4 && dice == 4:
		return f.call(ctx, http.MethodPatch, "/datasets/jane/flowers/", map[string]any{
			"description": fmt.Sprintf("Flowers of our garden, day %d", f.count),
		}, nil)
	}
	f.count++
	name := fmt.Sprintf("%s-%03d.png", []string{"rose", "tulip", "iris", "lily"}[rand.IntN(4)], f.count)
	var made struct{ UUID string }
	err := f.call(ctx, http.MethodPost, "/datasets/jane/flowers/samples/", map[string]any{
		"name": name, "attributes": map[string]any{"image": map[string]any{"url": "https://example.com/" + name}},
	}, &made)
	f.samples = append(f.samples, made.UUID)
	return err
}

func (f *feed) call(ctx context.Context, method, path string, body, into any) error {
	to, err := egress.ParseTarget(f.url + path)
	if err != nil {
		return err
	}
	req := &egress.Request{Method: method, To: to, Header: []egress.Field{
		{Name: "Authorization", Value: "APIKey " + f.key}, {Name: "Content-Type", Value: "application/json"},
	}}
	if body != nil {
		if req.Body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	res, err := f.client.Do(ctx, req)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, res.Body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(res.Body, into)
}
