package portal

import (
	"fanfare/internal/store"
	"fanfare/internal/store/storetest"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// asked are the names of all that queries hold, filled those of all that forms
// do.
var (
	asked = []string{
		"after", "before", "dataset", "done", "endpoint", "find", "language", "next", "payload", "q", "rate", "sample", "since", "span", "status", "text",
		"type", "until", "url", "what", "window",
	}
	filled = []string{
		"all_types", "at_once", "body", "datasets", "description", "dry_run", "enabled", "endpoint", "event_types", "header_name", "header_value", "headers",
		"label", "order", "payload", "preview", "rate", "secret", "since", "throttle", "token", "type", "url", "version", "what",
	}
)

// TestNothingOddIsOurFault puts into every field of every page what no database
// holds, or no time or number is: the answer may be a refusal, never our fault.
func TestNothingOddIsOurFault(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newSiteOn(t, s, Config{})
		jane := w.login("jane")
		for _, odd := range []string{"a\x00b", "\xff", "-1", "1e999", "9223372036854775808", "0001-01-01T00:00", "292277026596-01-01", "'; --"} {
			form := url.Values{}
			for _, name := range filled {
				form.Set(name, odd)
			}
			for _, route := range w.paths() {
				fields := []url.Values{form}
				if route[0] == http.MethodGet {
					fields = fields[:0]
					for _, name := range asked {
						fields = append(fields, url.Values{name: {odd}})
					}
				}
				if strings.HasSuffix(route[1], "/delete") || strings.HasPrefix(route[1], "/docs/") && route[1] != "/docs/search" {
					continue // the others want the endpoint; these read nothing
				}
				for _, f := range fields {
					path, body := route[1], f
					if route[0] == http.MethodGet {
						path, body = path+"?"+f.Encode(), nil
					}
					if res, _ := w.do(jane, route[0], path, body); res.StatusCode >= http.StatusInternalServerError {
						t.Errorf("%s %s %q: %d", route[0], path, body, res.StatusCode)
					}
				}
			}
		}
	})
}
