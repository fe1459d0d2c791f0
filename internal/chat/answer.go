package chat

import (
	"bytes"
	"fanfare/internal/webhook"
	"net/http"
	"strings"
)

// Judge says whether a service took a message, and if not, what its answer
// means, in a sentence; "" when the answer says no more than its status.
func Judge(k webhook.Kind, status int, body []byte) (taken bool, meaning string) {
	ok := status >= 200 && status <= 299
	said := strings.TrimSpace(string(body))
	switch k {
	case webhook.Slack:
		if ok && said == "ok" {
			return true, ""
		}
		return false, slackMeans(ok, status, said)
	case webhook.Mattermost:
		if ok && said == "ok" {
			return true, ""
		}
		return false, mattermostMeans(ok, said)
	case webhook.Teams:
		// Teams has answered 200 to what it did not take.
		failed := bytes.HasPrefix(body, []byte("Webhook message delivery failed"))
		if ok && !failed {
			return true, ""
		}
		return false, teamsMeans(failed, status)
	case webhook.Discord:
		if ok {
			return true, ""
		}
		return false, discordMeans(status, said)
	case webhook.Generic:
	}
	return ok, ""
}

// slackMeanings are the words that Slack answers with
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors).
var slackMeanings = map[string]string{ //nolint:gosec // words, and no credentials
	"action_prohibited":                 "The administrators of the Slack workspace do not let this webhook post in the channel.",
	"channel_is_archived":               "The Slack channel is archived and takes no more messages. Unarchive it, or make a webhook for another channel.",
	"channel_not_found":                 "The Slack channel no longer exists. Make a webhook for another channel.",
	"invalid_blocks":                    "Slack could not read the message.",
	"invalid_payload":                   "Slack could not read the message.",
	"invalid_token":                     "The URL is wrong, or the webhook was removed from the Slack app. Copy the URL again.",
	"no_active_hooks":                   "Incoming webhooks are switched off in the Slack workspace.",
	"no_service":                        "The webhook was removed or disabled in Slack, or the Slack app was uninstalled. Make a new webhook and change the URL here.",
	"no_service_id":                     "The URL is incomplete. Copy it again from the settings of the Slack app.",
	"no_team":                           "The Slack workspace does not exist, or the URL is incomplete.",
	"no_text":                           "The message had no text: Slack shows only messages that have one.",
	"posting_to_general_channel_denied": "The administrators of the Slack workspace do not let webhooks post in the general channel.",
	"rate_limited":                      "Slack takes about one message a second, and was sent more.",
	"rollup_error":                      "Something went wrong at Slack.",
	"team_disabled":                     "The Slack workspace is disabled.",
	"too_many_attachments":              "The message had more attachments than Slack takes.",
	"user_not_found":                    "The Slack user that the webhook writes to does not exist.",
	"messages_tab_disabled":             "The Slack user that the webhook writes to takes no messages from the app.",
	"missing_text_or_fallback_or_attachments": "The message had no text: Slack shows only messages that have one.",
}

func slackMeans(ok bool, status int, said string) string {
	word, _, _ := strings.Cut(said, ":")
	if meaning := slackMeanings[word]; meaning != "" {
		return meaning
	}
	switch {
	case ok:
		return `This is not the answer of Slack, which is "ok": check the URL.`
	case status == http.StatusTooManyRequests:
		return slackMeanings["rate_limited"]
	default:
		return ""
	}
}

func mattermostMeans(ok bool, said string) string {
	switch {
	case strings.Contains(said, "disabled"):
		return "Incoming webhooks are switched off on the Mattermost server."
	case strings.Contains(said, "Invalid webhook"), strings.Contains(said, "incoming_webhook"):
		return "The webhook does not exist, or was removed in Mattermost. Copy the URL again."
	case ok:
		return `This is not the answer of Mattermost, which is "ok": check the URL.`
	default:
		return ""
	}
}

func teamsMeans(failed bool, status int) string {
	switch {
	case failed:
		return "Microsoft Teams answered that it could not deliver the message."
	case status == http.StatusTooManyRequests:
		return "Microsoft Teams was sent more than it takes."
	case status == http.StatusNotFound, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "The workflow was removed or switched off in Microsoft Teams, or the URL is incomplete. Copy the URL again."
	case status == http.StatusRequestEntityTooLarge:
		return "The message was larger than Microsoft Teams takes."
	default:
		return ""
	}
}

func discordMeans(status int, said string) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "Discord was sent more than it takes."
	case strings.Contains(said, "10015"), status == http.StatusNotFound:
		return "The webhook was deleted in Discord. Make a new one and change the URL here."
	case strings.Contains(said, "50027"), status == http.StatusUnauthorized:
		return "The URL is incomplete or wrong. Copy it again from the settings of the Discord channel."
	case status == http.StatusBadRequest:
		return "Discord could not read the message."
	default:
		return ""
	}
}
