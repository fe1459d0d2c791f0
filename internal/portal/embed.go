package portal

import (
	"fanfare/internal/web"
	"fanfare/internal/webhook"
	"net/http"
	"strings"
)

// What a content policy says of frames.
const (
	noFrames   = "frame-ancestors 'none'"
	pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; "
)

// contentPolicy lets a page load what this server serves and nothing else. Only
// what a link opens may be shown in frames, and only by the sites that the
// operator named: what somebody does who is logged in must not be done under
// another site's cover.
func (p *Portal) contentPolicy(path string) string {
	if len(p.cfg.EmbedOrigins) == 0 || !framable(path) {
		return pagePolicy + noFrames
	}
	return pagePolicy + "frame-ancestors " + strings.Join(p.cfg.EmbedOrigins, " ")
}

// framable reports whether a path is one of those that a link opens, or of
// those that are the same for everybody.
func framable(path string) bool {
	if strings.HasPrefix(path, web.AccessPath) || path == "/docs" || strings.HasPrefix(path, "/docs/") {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/webhooks/")
	ref, _, _ := strings.Cut(rest, "/")
	_, err := webhook.ApplicationID.Parse(ref)
	return ok && err == nil
}

// framed reports whether a browser says that a page goes into a frame.
func (p *Portal) framed(r *http.Request) bool {
	return len(p.cfg.EmbedOrigins) > 0 && r.Header.Get("Sec-Fetch-Dest") == "iframe"
}

// accessSession is the cookie of somebody who came with a link. In a frame of
// another site browsers send it only if it says so, and keep it apart for each
// site that shows the frame.
func (p *Portal) accessSession(r *http.Request, session string, age int) *http.Cookie {
	c := p.cookie(p.accessCookie(), session, age) //nolint:gosec // its attributes are set there
	if p.framed(r) {
		c.SameSite, c.Secure, c.Partitioned = http.SameSiteNoneMode, true, true
	}
	return c
}
