package warpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// ListEnvironments returns every environment that the caller can see, of all owners. It
// is not documented whether the list includes trashed ones.
func (c *Client) ListEnvironments(ctx context.Context) ([]warp.EnvironmentListing, error) {
	answer, err := GetCloudEnvironments(ctx, c.queries, c.about)
	list, err := output[*EnvironmentsGetCloudEnvironmentsOutput](answer.GetGetCloudEnvironments(), err)
	if err != nil {
		return nil, err
	}
	listings := make([]warp.EnvironmentListing, len(list.CloudEnvironments))
	for i, e := range list.CloudEnvironments {
		listings[i] = warp.EnvironmentListing{
			UID:           e.Uid,
			Name:          e.Config.Name,
			Owner:         owner(e.Scope.Type, e.Scope.Uid),
			LastUpdated:   e.LastUpdated,
			Description:   e.Config.Description,
			DockerImage:   e.Config.DockerImage,
			SetupCommands: e.Config.SetupCommands,
		}
		what := fmt.Sprintf("list environments: number %d of them", i+1)
		if err := cmp.Or(checkUID(what, e.Uid), checkOwner(what, listings[i].Owner)); err != nil {
			return nil, err
		}
		if e.Config.Secrets != nil {
			listings[i].Secrets = make([]string, 0, len(e.Config.Secrets))
		}
		for _, secret := range e.Config.Secrets {
			listings[i].Secrets = append(listings[i].Secrets, secret.Name)
		}
	}
	return listings, nil
}

// GetEnvironment returns one environment with its whole model, also a trashed one. It
// is refused when the environment does not exist or the caller may not see it.
func (c *Client) GetEnvironment(ctx context.Context, uid string) (warp.Environment, error) {
	answer, err := GetCloudObject(ctx, c.queries, uid, c.about)
	return c.whole(uid, answer.GetCloudObject(), err)
}

// whole is the environment in an answer. It must be the requested one.
func (c *Client) whole(uid string, answer Object, err error) (warp.Environment, error) {
	found, err := output[*ObjectCloudObjectOutput](answer, err)
	if err != nil {
		return warp.Environment{}, err
	}
	switch object := found.Object.(type) {
	case *CloudObjectGenericStringObject:
		found, err := c.environment(object.Stored)
		if err == nil {
			err = checkSame("object", uid, found.UID)
		}
		return found, err
	case nil:
		return warp.Environment{}, errors.New("the answer holds no object")
	default:
		return warp.Environment{}, errors.New("not an environment, but a " + object.GetTypename())
	}
}

// ListIntegrations names the integrations (slack, linear, ...) that use an
// environment.
func (c *Client) ListIntegrations(ctx context.Context, uid string) ([]string, error) {
	answer, err := GetIntegrationsUsingEnvironment(ctx, c.queries, uid, c.about)
	list, err := output[*IntegrationsGetIntegrationsUsingEnvironmentOutput](answer.GetGetIntegrationsUsingEnvironment(), err)
	if err != nil {
		return nil, err
	}
	return list.ProviderNames, nil
}

// CreateEnvironment creates an environment. Names are not unique: two calls create two.
// When the created environment cannot be read, the answer counts as lost.
func (c *Client) CreateEnvironment(ctx context.Context, of warp.Owner, model warp.Model) (warp.Environment, error) {
	answer, err := CreateGenericStringObject(ctx, c.mutations, CreateGenericStringObjectInput{
		GenericStringObject: GenericStringObjectInput{
			ClientId:        "Client-" + uuid.NewString(),
			Entrypoint:      CloudObjectEventEntrypointUnknown,
			Format:          GenericStringObjectFormatJsoncloudenvironment,
			SerializedModel: model.String(),
		},
		Owner: ownerInput(of),
	}, c.about)
	created, err := output[*CreatedCreateGenericStringObjectOutput](answer.GetCreateGenericStringObject(), err)
	if err != nil {
		return warp.Environment{}, err
	}
	stored, err := c.environment(created.GenericStringObject.Stored)
	if err != nil {
		return warp.Environment{}, lost(err)
	}
	return stored, nil
}

// UpdateEnvironment replaces the model of an environment if it still has the revision
// that was read. Otherwise nothing is written, and newer is the present environment.
func (c *Client) UpdateEnvironment(ctx context.Context, uid, revision string, model warp.Model) (newer *warp.Environment, err error) {
	answer, err := UpdateGenericStringObject(ctx, c.mutations, UpdateGenericStringObjectInput{
		Uid:             uid,
		SerializedModel: model.String(),
		RevisionTs:      revision,
	}, c.about)
	updated, err := output[*UpdatedUpdateGenericStringObjectOutput](answer.GetUpdateGenericStringObject(), err)
	if err != nil {
		return nil, err
	}
	switch update := updated.Update.(type) {
	case *UpdateObjectUpdateSuccess:
		return nil, nil
	case *UpdateGenericStringObjectUpdateRejected:
		conflicting, err := c.environment(update.ConflictingGenericStringObject.Stored)
		if err == nil {
			err = checkSame("object", uid, conflicting.UID)
		}
		if err != nil {
			return nil, fmt.Errorf("someone else changed it at the same time: %w", err)
		}
		return &conflicting, nil
	default:
		return nil, lost(errors.New("the answer does not say whether the environment was stored or rejected"))
	}
}

// DeleteEnvironment deletes an environment permanently.
func (c *Client) DeleteEnvironment(ctx context.Context, uid string) error {
	answer, err := DeleteObject(ctx, c.mutations, uid, c.about)
	deleted, err := output[*DeletedDeleteObjectOutput](answer.GetDeleteObject(), err)
	if err == nil && !deleted.Success {
		err = errors.New("the server says that the request did not succeed")
	}
	return err
}

// environment is an environment with its whole model.
func (c *Client) environment(s Stored) (warp.Environment, error) {
	if s.Format != GenericStringObjectFormatJsoncloudenvironment {
		kind := string(s.Format)
		if !isPlainID(kind) {
			kind = "thing without a format"
		}
		return warp.Environment{}, errors.New("not an environment, but a " + kind)
	}
	of := owner(s.Permissions.Space.Type, s.Permissions.Space.Uid)
	if err := cmp.Or(checkUID("the environment of the answer", s.Metadata.Uid), checkOwner("the environment of the answer", of)); err != nil {
		return warp.Environment{}, err
	}
	if err := one.Check([]byte(s.SerializedModel)); err != nil {
		return warp.Environment{}, fmt.Errorf("read the model of environment %s: %w", s.Metadata.Uid, tooLong{err})
	}
	if c.models.Add(int64(len(s.SerializedModel))) > mostModels {
		return warp.Environment{}, fmt.Errorf("read the model of environment %s: %w", s.Metadata.Uid, errModels)
	}
	model, err := warp.ParseModel(s.SerializedModel)
	if err != nil {
		return warp.Environment{}, fmt.Errorf("read the model of environment %s: %w", s.Metadata.Uid, err)
	}
	if len(model.Name()) > longestName {
		return warp.Environment{}, fmt.Errorf("read the model of environment %s: %w: its name has more than %s", s.Metadata.Uid, warp.ErrTooLong, plural.Of(longestName, "byte"))
	}
	return warp.Environment{
		UID:      s.Metadata.Uid,
		Owner:    of,
		Model:    model,
		Revision: s.Metadata.RevisionTs,
		Trashed:  s.Metadata.TrashedTs != nil,
	}, nil
}
