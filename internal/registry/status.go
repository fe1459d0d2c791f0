package registry

import "slices"

// LabelStatuses are the states of a label.
func LabelStatuses() []string { return slices.Clone(labelStatuses) }

// IssueStatuses are the states of an issue.
func IssueStatuses() []string { return []string{"OPEN", closed} }
