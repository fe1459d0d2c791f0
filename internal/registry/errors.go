package registry

import "errors"

// Refusals that callers ask for with errors.Is. Their texts are what clients
// are told; official SDKs tell some of them apart by their words.
var (
	// ErrForbidden means that the caller may see the thing but not do this.
	ErrForbidden = errors.New("You do not have permission to perform this action.") //nolint:staticcheck,revive // told to clients
	// ErrNotAdministrator means that only administrators of the organization
	// may do this, and the caller is a plain member.
	ErrNotAdministrator = errors.New("You need to be an administrator of this organization.") //nolint:staticcheck,revive // told to clients
	// ErrLastAdministrator means that an organization would be left without
	// anybody to act for it.
	ErrLastAdministrator = errors.New("the organization has no other administrator")
	// ErrDatasetExists means that the owner has a dataset of that name.
	ErrDatasetExists = errors.New("You already have a dataset with this name.") //nolint:staticcheck,revive // told to clients
	// ErrSampleExists means that the dataset has a sample of that name.
	ErrSampleExists = errors.New("A sample with this name already exists.") //nolint:staticcheck,revive // told to clients
	// ErrLabelsetExists means that the dataset has a labelset of that name.
	ErrLabelsetExists = errors.New("A labelset with this name already exists.") //nolint:staticcheck,revive // told to clients
	// ErrReleaseExists means that the dataset has a release of that name.
	ErrReleaseExists = errors.New("A release with this name already exists.") //nolint:staticcheck,revive // told to clients
	// ErrGroundTruth means that somebody tried to delete GroundTruth.
	ErrGroundTruth = errors.New("The ground-truth labelset is permanent.") //nolint:staticcheck,revive // told to clients
	// ErrCollaboratorExists means that the account has a role there already.
	ErrCollaboratorExists = errors.New("This user is already a collaborator.") //nolint:staticcheck,revive // told to clients
	// ErrNoCollaborator means that the account is the owner, or an
	// organization.
	ErrNoCollaborator = errors.New("This account cannot be added as collaborator.") //nolint:staticcheck,revive // told to clients
)

// NoSuchUser is what is wrong with a field that names an account nobody has,
// or one that may not be named there.
const NoSuchUser = "User does not exist."
