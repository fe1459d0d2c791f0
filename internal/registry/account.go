package registry

import (
	"fanfare/internal/webhook"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Account is a user or an organization; it owns datasets.
type Account struct {
	ID           webhook.ID
	Name         string
	Organization bool
	// Operator may look after the whole installation.
	Operator bool
	Email    string
	// WebhooksEnabled says whether changes of the account's datasets are
	// recorded as events now. Application is where they go: zero until
	// webhooks were first enabled, and unchanged from then on.
	WebhooksEnabled bool
	Application     webhook.ID
	CreatedAt       time.Time
}

// Membership ties a user to an organization.
type Membership struct {
	Organization Account
	User         Account
	// Admin may do everything in the name of the organization.
	Admin bool
	// DefaultRole is the user's role in datasets that the organization makes;
	// NoRole for none.
	DefaultRole Role
}

// Role is what an account may do in a dataset; greater roles may do all that
// smaller ones may.
type Role int16

// The roles. NoRole is a stranger, who sees a dataset only when it is public.
const (
	NoRole Role = iota
	Labeler
	Reviewer
	Manager
	Admin
)

var roleNames = [...]string{"", "labeler", "reviewer", "manager", "admin"}

// String is the role's word on the wire; "" for NoRole.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads a role's word.
func ParseRole(s string) (Role, bool) {
	for r := Labeler; r <= Admin; r++ {
		if roleNames[r] == s {
			return r, true
		}
	}
	return NoRole, false
}

var (
	accountName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	datasetName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	uuidShape   = regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// ValidAccountName reports whether s can name an account. It serves in URLs
// beside uuids, and as the uid of a webhook application beside its ids.
func ValidAccountName(s string) bool {
	return accountName.MatchString(s) && !uuidShape.MatchString(s) && !strings.HasPrefix(strings.ToLower(s), "app_")
}

// ValidDatasetName reports whether s can name a dataset: a path segment that
// nothing on the way normalises away.
func ValidDatasetName(s string) bool {
	return datasetName.MatchString(s) && s != "." && s != ".."
}

// ValidTitle reports whether s can name a labelset or a release.
func ValidTitle(s string) bool {
	if n := utf8.RuneCountInString(s); n < 1 || n > 100 || s == "." || s == ".." || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" ._-", r)
	})
}

// NormalName is the form of an account's name that is unique.
func NormalName(name string) string { return strings.ToLower(name) }

// AccountFields are the members of an account that its owner writes.
var AccountFields = []Field{{Name: "webhooks_enabled", Form: boolean, Means: "Whether changes of the account's datasets are recorded as events."}}

// Object is the account as everybody sees it.
func (a *Account) Object() Object {
	var o Object
	o.text("username", a.Name)
	o.time("created_at", a.CreatedAt)
	o.bool("is_organization", a.Organization)
	return o
}

// OwnObject is the account as those see it who may act for it.
func (a *Account) OwnObject() Object {
	o := a.Object()
	o.maybeText("email", a.Email)
	o.bool("webhooks_enabled", a.WebhooksEnabled)
	return o
}

// OrganizationObject is the organization with the role of its member.
func (m *Membership) OrganizationObject() Object { return m.with(m.Organization) }

// UserObject is the member with its role in the organization.
func (m *Membership) UserObject() Object { return m.with(m.User) }

// with adds the role: official clients know "admin" and null, and fail on any
// word for a plain member.
func (m *Membership) with(a Account) Object {
	o := a.Object()
	if m.Admin {
		o.text("organization_role", Admin.String())
	} else {
		o.add("organization_role", nil)
	}
	return o
}

var role = oneOf(roleNames[1:]...)

// CollaboratorFields are the members of a collaborator that clients write.
var CollaboratorFields = []Field{
	{Name: "user", Fixed: true, Form: AnyText, Means: "The name of the account."},
	{Name: "role", Default: `"labeler"`, Form: role, Means: "What the account may do in the dataset."},
}

// Collaborator is an account with a role in a dataset that is not its own.
type Collaborator struct {
	User Account
	Role Role
}

// Object is the collaborator as its GET shows it.
func (c *Collaborator) Object() Object {
	var o Object
	o.object("user", c.User.Object())
	o.text("role", c.Role.String())
	return o
}
