package portal

import (
	"fanfare/internal/webhook"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
)

// window is a stretch of time up to now as charts show it, in steps.
type window struct {
	Key, Name string
	Steps     int
	Step      time.Duration
}

var windows = []window{
	{"24h", "24 hours", 24, time.Hour},
	{"7d", "7 days", 28, 6 * time.Hour},
}

// begin is where a window begins that ends with the step in which now lies.
func (w window) begin(now time.Time) time.Time {
	return now.Truncate(w.Step).Add(w.Step).Add(-time.Duration(w.Steps) * w.Step)
}

// marks are times along the lower edge of a chart.
func (w window) marks(begin time.Time) (marks []time.Time, form string) {
	for i := range 4 {
		marks = append(marks, begin.Add(time.Duration(i*w.Steps/4)*w.Step))
	}
	if w.Step > time.Hour {
		return marks, "day"
	}
	return marks, "hour"
}

// mark writes a time along the edge of a chart.
func mark(form string, t time.Time) string {
	if form == "day" {
		return t.UTC().Format("2 Jan")
	}
	return t.UTC().Format("15:04")
}

func windowOf(query url.Values) window {
	for _, w := range windows {
		if w.Key == query.Get("window") {
			return w
		}
	}
	return windows[0]
}

// tab is a choice between forms of the same page.
type tab struct {
	Name, Path string
	Current    bool
}

func windowTabs(here string, chosen window) []tab {
	var tabs []tab
	for _, w := range windows {
		tabs = append(tabs, tab{w.Name, here + "?window=" + w.Key, w.Key == chosen.Key})
	}
	return tabs
}

// health is how an endpoint did in a window.
type health struct {
	Window    window
	Good, Bad int64
	// Rate is the share of calls that succeeded; "" without calls.
	Rate          string
	P50, P95, P99 string
	// Volume and Latency are charts; Label says in words what they show.
	Volume, Latency chart
	Label           string
}

// Calls is how many calls were made.
func (h health) Calls() int64 { return h.Good + h.Bad }

// chart is what a template draws as SVG. Its shapes are in units of a box of
// width and height; the texts stand outside, so that they are never stretched.
type chart struct {
	Width, Height float64
	Bars          []bar
	Lines         []line
	// Top is what the upper edge stands for; Marks are times along the lower one,
	// of which MarkForm says whether the hour or the day is told.
	Top      string
	Marks    []time.Time
	MarkForm string
}

type bar struct {
	Class      string
	X, Y, W, H string
}

// line is one line of a chart. A point that stands alone is a dot.
type line struct {
	Class string
	Paths []string
	Dots  []string
}

func units(f float64) string {
	return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.2f", f), "0"), ".0")
}

// healthOf adds up the hours of a window that ends at now.
func healthOf(w window, now time.Time, hours []webhook.Hour, width, height float64) health {
	h := health{Window: w}
	begin := w.begin(now)
	steps := make([]webhook.Hour, w.Steps)
	var all webhook.Hour
	for i := range hours {
		n := int(hours[i].At.Sub(begin) / w.Step)
		if hours[i].At.Before(begin) || n >= w.Steps {
			continue
		}
		add(&steps[n], &hours[i])
		add(&all, &hours[i])
	}
	h.Good, h.Bad = all.Succeeded, all.Failed
	h.Volume = volume(steps, width, height)
	h.Volume.Marks, h.Volume.MarkForm = w.marks(begin)
	if h.Calls() == 0 {
		h.Label = "No calls in the last " + w.Name + "."
		return h
	}
	h.Rate = rate(h.Good, h.Calls())
	h.Label = fmt.Sprintf("%s of %s calls in the last %s succeeded.", count(h.Good), count(h.Calls()), w.Name)
	h.P50, h.P95, h.P99 = took(all.Percentile(0.5)), took(all.Percentile(0.95)), took(all.Percentile(0.99))
	h.Latency = latency(steps, width, height)
	h.Latency.Marks, h.Latency.MarkForm = h.Volume.Marks, h.Volume.MarkForm
	return h
}

func add(to, h *webhook.Hour) {
	to.Succeeded += h.Succeeded
	to.Failed += h.Failed
	for i, n := range h.Latency {
		to.Latency[i] += n
	}
}

// rate writes a share so that only what is whole is called 100 %.
func rate(good, all int64) string {
	switch share := 100 * float64(good) / float64(all); {
	case good == all:
		return "100 %"
	case share >= 99:
		return fmt.Sprintf("%.2f %%", math.Floor(share*100)/100)
	default:
		return fmt.Sprintf("%.0f %%", math.Floor(share))
	}
}

// count writes a number with separators, as people read it.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// volume draws a bar for each step, failures on top.
func volume(steps []webhook.Hour, width, height float64) chart {
	c := chart{Width: width, Height: height}
	var most int64
	for _, s := range steps {
		most = max(most, s.Succeeded+s.Failed)
	}
	pitch := width / float64(len(steps))
	gap := math.Max(1, pitch/5)
	for i, s := range steps {
		x := float64(i)*pitch + gap/2
		put := func(class string, y, h float64) {
			c.Bars = append(c.Bars, bar{class, units(x), units(y), units(pitch - gap), units(h)})
		}
		if s.Succeeded+s.Failed == 0 {
			put("none", height-2, 2)
			continue
		}
		// Whatever happened is seen, be it little beside the rest.
		scale := func(n int64) float64 { return math.Max(2, float64(n)/float64(most)*(height-2)) }
		y := height
		if s.Succeeded > 0 {
			y -= scale(s.Succeeded)
			put("ok", y, height-y)
		}
		if s.Failed > 0 {
			h := math.Min(scale(s.Failed), y)
			put("no", y-h, h)
		}
	}
	c.Top = count(most)
	return c
}

// latency draws percentiles of what calls took.
func latency(steps []webhook.Hour, width, height float64) chart {
	c := chart{Width: width, Height: height}
	var most time.Duration
	for i := range steps {
		most = max(most, steps[i].Percentile(0.99))
	}
	most = roundUp(most)
	c.Top = took(most)
	pitch := width / float64(len(steps))
	for _, p := range []float64{0.99, 0.95, 0.5} {
		l := line{Class: fmt.Sprintf("p%.0f", 100*p)}
		var path []string
		for i := range steps {
			if d := steps[i].Percentile(p); d > 0 {
				y := height - 2 - float64(d)/float64(most)*(height-4)
				path = append(path, units((float64(i)+0.5)*pitch)+" "+units(y))
				continue
			}
			l.add(path)
			path = nil
		}
		l.add(path)
		c.Lines = append(c.Lines, l)
	}
	return c
}

// add ends a stretch of a line: it goes on after a step without calls.
func (l *line) add(path []string) {
	switch len(path) {
	case 0:
	case 1:
		l.Dots = append(l.Dots, "M"+path[0]+"h0.01")
	default:
		l.Paths = append(l.Paths, "M"+strings.Join(path, "L"))
	}
}

// roundUp is the next of 1, 2 and 5 times a power of ten.
func roundUp(d time.Duration) time.Duration {
	for n := time.Millisecond; ; n *= 10 {
		switch {
		case d <= n:
			return n
		case d <= 2*n:
			return 2 * n
		case d <= 5*n:
			return 5 * n
		}
	}
}

// health reads how an endpoint did.
func (v *visit) health(e *webhook.Endpoint, w window, width, height float64) (health, error) {
	now := time.Now()
	hours, err := v.p.store.EndpointHours(v.Context(), e.ID, w.begin(now))
	return healthOf(w, now, hours, width, height), err
}

// standing is what state an endpoint is in, and why.
type standing struct {
	// Word names the state and its class of colour.
	Word string
	// Lead and Reason say how it came to that, Since when, and Until when it
	// ends by itself; zero times say nothing.
	Lead, Reason string
	Since, Until time.Time
	// Then is what happens at Until.
	Then string
}

func (p *Portal) standing(e *webhook.Endpoint) standing {
	switch breaker := p.cfg.Breaker(e.ID); {
	case e.Disabled && e.DisabledReason != "":
		return standing{Word: "disabled", Lead: "Disabled by us", Reason: e.DisabledReason, Since: e.DisabledAt}
	case e.Disabled:
		return standing{Word: "disabled", Lead: "Disabled by its owner", Since: e.DisabledAt}
	case e.Paused:
		return standing{Word: "paused", Lead: "Paused by its owner", Reason: "what is for it is held, in order, until it is resumed."}
	case breaker.Resting(time.Now()):
		return standing{
			Word: "resting", Lead: fmt.Sprintf("Rests after %d failures in a row", breaker.Failures),
			Reason: "first attempts wait, planned retries keep their times.",
			Until:  breaker.OpenUntil, Then: "one call tries it",
		}
	case !e.FailingSince.IsZero():
		failing := standing{Word: "failing", Lead: "All deliveries that ended have failed, the first", Since: e.FailingSince}
		if after := p.cfg.Promises.DisableAfter; after > 0 {
			failing.Until, failing.Then = e.FailingSince.Add(after), "it is disabled unless one succeeds before"
		}
		return failing
	default:
		return standing{Word: "enabled"}
	}
}
