package webhook

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Kind says what listens at an endpoint's URL, and so what is sent there: the
// payload of a message as it is, or the message put into the words and the
// form of a chat service.
type Kind int16

// The kinds. All but Generic are chat services.
const (
	Generic Kind = iota
	Slack
	Teams
	Discord
	Mattermost
)

var kindNames = [...]string{"generic", "slack", "teams", "discord", "mattermost"}

// KindNames lists the names of the kinds, the generic one first.
func KindNames() []string { return kindNames[:] }

// String is the name of the kind in the API.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Title is the name of the kind for people.
func (k Kind) Title() string {
	switch k {
	case Slack:
		return "Slack"
	case Teams:
		return "Microsoft Teams"
	case Discord:
		return "Discord"
	case Mattermost:
		return "Mattermost"
	case Generic:
	}
	return "Generic"
}

// Chat reports whether the kind is a chat service, whose messages are read by
// people.
func (k Kind) Chat() bool { return k != Generic }

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, bool) {
	for i, name := range kindNames {
		if name == s {
			return Kind(i), true
		}
	}
	return Generic, false
}

// The paths of incoming webhooks. Those of Mattermost are known by their form
// alone, because it has no host of its own.
var (
	discordPath    = regexp.MustCompile(`^/api(/v\d+)?/webhooks/\d+/[\w-]+(/slack)?/?$`)
	mattermostPath = regexp.MustCompile(`/hooks/[a-z0-9]{26}$`)
)

// KindOf recognises the chat service behind a URL; Generic when it is none that
// we know.
func KindOf(raw string) Kind {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return Generic
	}
	host := strings.ToLower(u.Hostname())
	under := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	switch {
	case under("hooks.slack.com") || under("hooks.slack-gov.com"):
		// Slack's workflows (/workflows/, /triggers/) take variables of their
		// own instead of messages.
		if strings.HasPrefix(u.Path, "/services/") {
			return Slack
		}
	case under("logic.azure.com") || under("powerplatform.com"):
		if strings.Contains(u.Path, "/workflows/") {
			return Teams
		}
	case under("webhook.office.com"):
		return Teams
	case under("discord.com") || under("discordapp.com"):
		if found := discordPath.FindStringSubmatch(u.Path); found != nil {
			if found[2] != "" {
				return Slack // it takes what Slack takes there
			}
			return Discord
		}
	case mattermostPath.MatchString(u.Path):
		return Mattermost
	}
	return Generic
}

// Digest says that the events of an endpoint are gathered and told together.
// The zero value tells each by itself, at once.
type Digest struct {
	// Window is for how long events are gathered, from the first on; 0 gathers
	// none.
	Window time.Duration
	// Most is how many events one digest tells of. When so many have gathered
	// they are sent before the window ends.
	Most int
}

// The bounds of a digest.
const (
	MinDigestWindow = time.Second
	MaxDigestWindow = time.Hour
	// MaxDigestEvents bounds what one transaction has to write when a digest is
	// made and when it ends.
	MaxDigestEvents = 1000
)

// DefaultDigest is what endpoints of a kind start with: people are told at most
// every ten seconds, programs at once.
func (k Kind) DefaultDigest() Digest {
	if !k.Chat() {
		return Digest{}
	}
	return Digest{Window: 10 * time.Second, Most: MaxDigestEvents}
}

// On reports whether events are gathered.
func (d Digest) On() bool { return d.Window > 0 }

// ErrDigest means that a digest has a window or a number of events out of
// bounds.
var ErrDigest = errors.New("digest out of bounds")

// Check reports what is out of bounds.
func (d Digest) Check() error {
	if !d.On() {
		return nil
	}
	if d.Window < MinDigestWindow || d.Window > MaxDigestWindow || d.Most < 1 || d.Most > MaxDigestEvents {
		return ErrDigest
	}
	return nil
}

// chatRate is how many messages a second the chat services take: Slack says
// one, and the others are content with it.
const chatRate = 1

// Rate is how many calls a second the endpoint gets at most; 0 is no limit.
func (e *Endpoint) Rate() int {
	if e.Throttle == 0 && e.Kind.Chat() {
		return chatRate
	}
	return e.Throttle
}

// Gathers reports whether the endpoint's messages first wait to be told
// together, or to be put into the words of a chat service.
func (e *Endpoint) Gathers() bool { return e.Kind.Chat() || e.Digest.On() }
