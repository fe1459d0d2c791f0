package webhook

import (
	"testing"
	"time"
)

func TestKindIsRecognisedFromTheURL(t *testing.T) {
	for url, want := range map[string]Kind{
		"https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX":     Slack,
		"https://hooks.slack-gov.com/services/T0/B0/x":                                      Slack,
		"https://hooks.slack.com/triggers/T0/1/x":                                           Generic,
		"https://hooks.slack.com.example.com/services/T0/B0/x":                              Generic,
		"https://notdiscord.com/api/webhooks/1/x":                                           Generic,
		"https://discord.com/api/webhooks/123456789/abc-DEF_1":                              Discord,
		"https://discordapp.com/api/v10/webhooks/123456789/abc":                             Discord,
		"https://ptb.discord.com/api/webhooks/123456789/abc":                                Discord,
		"https://discord.com/api/webhooks/123456789/abc/slack":                              Slack,
		"https://discord.com/channels/1/2":                                                  Generic,
		"https://prod-12.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/x?sv": Teams,
		"https://default1.2.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/a/triggers/manual/paths/invoke": Teams,
		"https://contoso.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d":                                                               Teams,
		"https://chat.example.com/hooks/abcdefghijklmnopqrstuvwx12":                                                                          Mattermost,
		"https://example.com/hooks/abc": Generic,
		"https://example.com/":          Generic,
		"::":                            Generic,
	} {
		if got := KindOf(url); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for _, name := range KindNames() {
		k, ok := ParseKind(name)
		if !ok || k.String() != name || k.Title() == "" {
			t.Errorf("%s: %v %v %s", name, k, ok, k.Title())
		}
	}
	if _, ok := ParseKind("irc"); ok || Kind(9).String() != "unknown" {
		t.Error("there is no such kind")
	}
}

func TestChatServicesAreSentOneASecond(t *testing.T) {
	for name, tt := range map[string]struct {
		endpoint Endpoint
		want     int
	}{
		"generic":            {Endpoint{}, 0},
		"generic, throttled": {Endpoint{Throttle: 5}, 5},
		"chat":               {Endpoint{Kind: Slack}, 1},
		"chat, throttled":    {Endpoint{Kind: Discord, Throttle: 2}, 2},
	} {
		if got := tt.endpoint.Rate(); got != tt.want {
			t.Errorf("%s: %d a second, want %d", name, got, tt.want)
		}
	}
}

func TestDigestIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		digest Digest
		ok     bool
	}{
		"off":             {Digest{}, true},
		"as chats have":   {Slack.DefaultDigest(), true},
		"too short":       {Digest{time.Millisecond, 10}, false},
		"too long":        {Digest{2 * time.Hour, 10}, false},
		"too many events": {Digest{time.Second, 1001}, false},
		"no events":       {Digest{time.Second, 0}, false},
	} {
		if err := tt.digest.Check(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if Generic.DefaultDigest().On() || !Slack.DefaultDigest().On() {
		t.Error("digests are for chat services unless asked for")
	}
}
