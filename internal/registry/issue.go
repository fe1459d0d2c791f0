package registry

import (
	"encoding/json"
	"fanfare/internal/registry/shape"
	"fanfare/internal/webhook"
	"sort"
	"time"
)

// Issue is something that is wrong with a sample, and the talk about it.
type Issue struct {
	ID     webhook.ID
	Sample Sample
	// Fields are the members that clients write, by IssueFields.
	Fields               Fields
	Author               webhook.ID
	CreatedBy, UpdatedBy string
	CreatedAt, UpdatedAt time.Time
	Comments             []Comment // oldest first
}

// Comment is a reply to an issue.
type Comment struct {
	ID        webhook.ID
	Author    webhook.ID
	CreatedBy string
	CreatedAt time.Time
	Text      string
}

// closed is the status of an issue that is settled.
const closed = "CLOSED"

// IssueFields are the members of an issue that clients write (contract section
// 4.6), in the order in which texts name them.
var IssueFields = []Field{
	{Name: "status", Default: `"OPEN"`, Form: oneOf("OPEN", closed), Means: "OPEN or CLOSED."},
	{Name: "description", Form: someText, Means: "What is wrong."},
	{Name: "anchor", Nullable: true, Default: "null", Form: shaped(shape.Anchor), Means: "The place in the sample that the issue is about."},
}

// CommentFields are the members of a reply.
var CommentFields = []Field{{Name: "text", Form: someText, Means: "What the reply says."}}

// Settles reports whether a patch of an issue is about its status alone, which
// is part of the talk.
func Settles(patch Fields) bool {
	return len(patch) == 0 || len(patch) == 1 && patch["status"] != nil
}

// Object is the issue as its GET shows it.
func (i *Issue) Object() Object {
	var o Object
	o.text("uuid", UUID(i.ID))
	for _, f := range IssueFields {
		o.add(f.Name, i.Fields[f.Name])
	}
	o.time("created_at", i.CreatedAt)
	o.text("created_by", i.CreatedBy)
	o.time("updated_at", i.UpdatedAt)
	o.text("updated_by", i.UpdatedBy)
	o.text("sample_uuid", UUID(i.Sample.ID))
	o.text("sample_name", i.Sample.Name())
	o.add("comments", comments(i.Comments))
	return o
}

func comments(list []Comment) json.RawMessage {
	objects := make([]Object, len(list))
	for n := range list {
		objects[n] = list[n].object()
	}
	return List(objects)
}

func (c *Comment) object() (o Object) {
	o.text("uuid", UUID(c.ID))
	o.text("text", c.Text)
	o.time("created_at", c.CreatedAt)
	o.text("created_by", c.CreatedBy)
	return o
}

// omittedRoom is what the member that names the omitted ones takes, in bytes.
const omittedRoom = 32

// newest is the comments without the oldest ones, which together have so many
// bytes.
func (i *Issue) newest(lose int) json.RawMessage {
	all := len(comments(i.Comments))
	oldest := sort.Search(len(i.Comments), func(n int) bool { return all-len(comments(i.Comments[n:])) >= lose+omittedRoom })
	return comments(i.Comments[oldest:])
}

// IssueCreated is the event of a new issue.
func IssueCreated(d *Dataset, i *Issue, at time.Time) Event {
	return i.event(d, "issue.created", at, "Issue created on sample "+plain(i.Sample.Name())+" in dataset "+plain(d.FullName())+": "+
		quoted(i.Fields.String("description")))
}

// IssueUpdated is the event of an issue of which the fields named changed.
func IssueUpdated(d *Dataset, i *Issue, changed []string, at time.Time) Event {
	what := " updated"
	if changed[0] == "status" {
		what = " reopened"
		if i.Fields.String("status") == closed {
			what = " closed"
		}
		changed = changed[1:]
	}
	return i.event(d, "issue.updated", at, "Issue on sample "+plain(i.Sample.Name())+what+" in dataset "+plain(d.FullName())+and(changed))
}

// IssueReplied is the event of a reply, the last comment of the issue.
func IssueReplied(d *Dataset, i *Issue, at time.Time) Event {
	reply := i.Comments[len(i.Comments)-1]
	return i.event(d, "issue.updated", at, plain(reply.CreatedBy)+" replied to an issue on sample "+plain(i.Sample.Name())+" in dataset "+
		plain(d.FullName())+": "+quoted(reply.Text))
}

// ReplyDeleted is the event of an issue that lost a reply.
func ReplyDeleted(d *Dataset, i *Issue, at time.Time) Event {
	return i.event(d, "issue.updated", at, "Reply deleted from an issue on sample "+plain(i.Sample.Name())+" in dataset "+plain(d.FullName())+".")
}

func (i *Issue) event(d *Dataset, eventType string, at time.Time, text string) Event {
	return Event{
		Type: eventType, At: at, Dataset: d.FullName(), Subject: i.Sample.Name(), Object: i.Object(), Text: text,
		sheds: []shed{{"comments", i.newest}},
	}
}
