// Package browsertest gives tests a real browser: Chromium without a window.
// Only tests import it.
package browsertest

import (
	"context"
	"fanfare/internal/harness"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// patience bounds each step, so that a test ends which waits for something
// that never shows.
const patience = 30 * time.Second

// Browser is a tab of a browser. Its methods end the test when a step fails.
type Browser struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // a tab is a context to chromedp

	mu      sync.Mutex
	refused []string
	// scriptless says that pages run no JavaScript.
	scriptless bool
}

// New starts a browser. Where Chromium is not installed the test is skipped, or
// failed where harness.RequireVariable forbids skips.
func New(t testing.TB) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		harness.Missing(t, "Chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(Wide, 900))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &Browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // starts it, outside of the bound of a step
		t.Fatalf("start the browser: %v", err)
	}
	b.watchPolicy()
	return b
}

// watchPolicy notes what content policies refuse.
func (b *Browser) watchPolicy() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		e, ok := ev.(*log.EventEntryAdded)
		if !ok || e.Entry.Source != log.EntrySourceSecurity {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refused = append(b.refused, e.Entry.Text)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	do(b, "listen to the log", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return err
	}))
}

// Refused lists what the content policies of pages have refused since it was
// called last.
func (b *Browser) Refused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	refused := b.refused
	b.refused = nil
	return refused
}

func do[T any](b *Browser, what string, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatalf("%s: %v; the page says:\n%s", what, err, b.text())
	}
	return v
}

func (b *Browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Open goes to a page.
func (b *Browser) Open(url string) {
	b.t.Helper()
	do(b, "open "+url, chromedp.Navigate(url))
}

// Click clicks the first visible element that a CSS selector finds.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	do(b, "click "+selector, chromedp.Click(selector, chromedp.NodeVisible))
}

// Press clicks the button or link with this text.
func (b *Browser) Press(text string) {
	b.t.Helper()
	xpath := fmt.Sprintf(`//*[self::button or self::a or self::summary][contains(normalize-space(.), %q)]`, text)
	do(b, "press "+text, chromedp.Click(xpath, chromedp.NodeVisible))
}

// Fill types into a field, in place of what it holds.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	do(b, "go to "+selector, chromedp.Focus(selector, chromedp.NodeVisible))
	do(b, "empty "+selector, chromedp.Evaluate[bool](`document.activeElement.select() ?? true`))
	do(b, "type into "+selector, chromedp.SendKeys(selector, text, chromedp.NodeVisible))
}

// See waits until the page shows a text, through navigations and refreshes.
func (b *Browser) See(text string) {
	b.t.Helper()
	b.Until(text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// Until waits until a JavaScript expression is true; what names it.
func (b *Browser) Until(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if b.scriptless && b.again(ctx, expression) {
		return
	}
	for ctx.Err() == nil {
		// A poll ends with an error when the page is left; the next page is
		// asked then.
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err == nil {
			return
		}
	}
	b.t.Fatalf("waited for %q; the page says:\n%s", what, b.text())
}

// Value is what a JavaScript expression yields, as a string.
func (b *Browser) Value(expression string) string {
	b.t.Helper()
	return do(b, expression, chromedp.Evaluate[string]("String("+expression+")"))
}

// The widths at which pages are looked at, in CSS pixels: a laptop's and a
// small phone's.
const (
	Wide   = 1280
	Narrow = 360
)

// Look shows the page light and dark, wide and narrow, and fails when its
// content reaches over the edge, so that people would scroll sideways. Where
// FANFARE_SCREENSHOTS names a directory, pictures go there.
func (b *Browser) Look(name string) {
	b.t.Helper()
	for _, width := range []int64{Wide, Narrow} {
		do(b, "resize", chromedp.EmulateViewport(width, 800))
		for _, scheme := range []string{"light", "dark"} {
			b.Scheme(scheme)
			if reach := do(b, "measure", chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); reach > width {
				b.t.Errorf("%s reaches %d pixels wide on a screen of %d", name, reach, width)
			}
			if dir := os.Getenv("FANFARE_SCREENSHOTS"); dir != "" {
				picture := do(b, "screenshot", chromedp.FullScreenshot(100))
				file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
				if err := os.WriteFile(file, picture, 0o600); err != nil { //nolint:gosec // whoever runs the tests names the directory
					b.t.Fatal(err)
				}
			}
		}
	}
	do(b, "resize", chromedp.EmulateViewport(Wide, 900))
}

// ClickAt clicks at a place of the window, also within a frame of another site,
// whose elements cannot be reached.
func (b *Browser) ClickAt(x, y float64) {
	b.t.Helper()
	do(b, fmt.Sprintf("click at %v, %v", x, y), chromedp.MouseClickXY(x, y))
}

// Resize changes the size of the window, in CSS pixels.
func (b *Browser) Resize(width, height int64) {
	b.t.Helper()
	do(b, "resize", chromedp.EmulateViewport(width, height))
}

// Run runs a script in the page, whatever its content policy says.
func (b *Browser) Run(script string) {
	b.t.Helper()
	do(b, "run a script", chromedp.Evaluate[bool](script+"\n;true"))
}

// Scheme has pages be light or dark.
func (b *Browser) Scheme(scheme string) {
	b.t.Helper()
	do(b, "color scheme", setScheme(scheme))
}

func setScheme(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return err
	})
}

// Type presses keys, wherever the focus is: "\t" is Tab, "\r" is Enter.
func (b *Browser) Type(keys string) {
	b.t.Helper()
	do(b, "type", chromedp.KeyEvent(keys))
}

// Picture writes what the window shows, in light colors, to a file, from the
// element on that a CSS selector finds.
func (b *Browser) Picture(file, selector string, width, height int64) {
	b.t.Helper()
	b.Resize(width, height)
	b.Scheme("light")
	b.Run(fmt.Sprintf(`document.querySelector(%q).scrollIntoView()`, selector))
	picture := do(b, "picture", chromedp.CaptureScreenshot())
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.Resize(Wide, 900)
}
