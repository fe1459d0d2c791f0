package webhooks

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"fmt"
	"slices"
	"testing"
)

// TestAFilterThatLetsLittleThroughGetsShortPages walks lists of which a page may
// look at ten rows, in both directions, and finds everything once.
func TestAFilterThatLetsLittleThroughGetsShortPages(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s, err := store.Open(t.Context(), url, storetest.Sealer(t), storetest.Log(t), store.Config{Exclusive: true, MaxScan: 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		w := newWorld(t, s)
		endpoint := w.app("acme")
		var rare []string
		for i := range 63 {
			kind := "often"
			if i == 3 || i == 4 || i == 40 {
				kind = "rare"
			}
			id := w.message("acme", fmt.Sprintf(`{"eventType":%q,"payload":{}}`, kind))
			if kind == "rare" {
				rare = append(rare, id)
			}
			w.receiver.next(t)
		}
		slices.Reverse(rare)
		w.eventually("all recorded", func() bool {
			return w.must(200, "GET", "/app/acme/endpoint/"+endpoint+"/stats", "")["success"] == 63.0
		})
		for name, list := range map[string]struct{ path, id string }{
			"messages":                {"/app/acme/msg?event_types=rare", "id"},
			"attempts":                {"/app/acme/attempt/endpoint/" + endpoint + "?event_types=rare", "msgId"},
			"messages of an endpoint": {"/app/acme/endpoint/" + endpoint + "/msg?event_types=rare", "id"},
		} {
			walk := func(query, member string) (found []string, oldest string, pages int) {
				for {
					page := w.must(200, "GET", list.path+"&limit=2"+query, "")
					pages++
					for _, item := range page["data"].([]any) {
						item := item.(map[string]any)
						found, oldest = append(found, item[list.id].(string)), item["id"].(string)
					}
					if page["done"] == true {
						return found, oldest, pages
					}
					if pages > 20 {
						t.Fatalf("%s: the list does not end", name)
					}
					query = "&iterator=" + page[member].(string)
				}
			}
			found, oldest, pages := walk("", "iterator")
			if !slices.Equal(found, rare) || pages < 6 {
				t.Errorf("%s: found %v in %d pages, want %v in one for each ten rows", name, found, pages, rare)
			}
			back, _, _ := walk("&iterator=-"+oldest, "prevIterator")
			slices.Sort(back)
			want := slices.Sorted(slices.Values(rare[:len(rare)-1])) // those before the oldest
			if !slices.Equal(back, want) {
				t.Errorf("%s: backward found %v, want %v", name, back, want)
			}
		}
	})
}
