package warpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// GetCaller returns the owner of the API key and the teams that the owner sees.
func (c *Client) GetCaller(ctx context.Context) (warp.Caller, error) {
	answer, err := GetUser(ctx, c.queries, c.about)
	user, err := output[*CallerUserOutput](answer.GetUser(), err)
	if err != nil {
		return warp.Caller{}, err
	}
	caller := warp.Caller{
		UID:            user.User.Profile.Uid,
		ServiceAccount: user.PrincipalType == PrincipalTypeServiceAccount,
	}
	if !isUserUID(caller.UID) {
		return warp.Caller{}, errors.New("the owner of warp_api_key has a UID that is not a user's or a service account's")
	}
	for _, workspace := range user.User.Workspaces {
		for _, team := range workspace.Teams {
			if err := checkUID("a team of the owner of warp_api_key", team.Uid); err != nil {
				return warp.Caller{}, err
			}
			if found := (warp.Team{UID: team.Uid, Name: team.Name}); !slices.Contains(caller.Teams, found) {
				caller.Teams = append(caller.Teams, found)
			}
		}
	}
	return caller, nil
}

// GetUploadKeys returns the keys to seal secrets for.
func (c *Client) GetUploadKeys(ctx context.Context) (warp.UploadKeys, error) {
	answer, err := GetManagedSecretConfig(ctx, c.queries, c.about)
	user, err := output[*KeysUserOutput](answer.GetUser(), err)
	if err != nil {
		return warp.UploadKeys{}, err
	}
	keys := warp.UploadKeys{
		User:  warp.UploadKey(user.User.ManagedSecrets.PublicKey),
		Teams: make(map[string]warp.UploadKey),
	}
	for _, workspace := range user.User.Workspaces {
		for _, team := range workspace.Teams {
			if key := team.ManagedSecrets.PublicKey; key != "" {
				if err := checkUID("a team with an upload key", team.Uid); err != nil {
					return warp.UploadKeys{}, err
				}
				keys.Teams[team.Uid] = warp.UploadKey(key)
			}
		}
	}
	return keys, nil
}

// ListSecrets returns every secret that the caller can see, of all owners: the
// API has no pages.
func (c *Client) ListSecrets(ctx context.Context) ([]warp.Secret, error) {
	answer, err := ListManagedSecrets(ctx, c.queries, c.about)
	list, err := output[*SecretsManagedSecretsOutput](answer.GetManagedSecrets(), err)
	if err != nil {
		return nil, err
	}
	secrets := make([]warp.Secret, len(list.ManagedSecrets))
	for i, s := range list.ManagedSecrets {
		secrets[i] = warp.Secret{
			Name:        s.Name,
			Owner:       owner(s.Owner.Type, s.Owner.Uid),
			Type:        warp.SecretType(s.Type),
			UpdatedAt:   s.UpdatedAt,
			Description: s.Description,
		}
		if err := checkOwner(fmt.Sprintf("list secrets: number %d of them", i+1), secrets[i].Owner); err != nil {
			return nil, err
		}
		if s.Name == "" {
			return nil, fmt.Errorf("list secrets: number %d of them has no name", i+1)
		}
	}
	return secrets, nil
}

// CreateSecret stores a new raw-value secret, and returns its UpdatedAt after this
// write. It is refused when the owner already has a secret of this name.
func (c *Client) CreateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error) {
	answer, err := CreateManagedSecret(ctx, c.mutations, CreateManagedSecretInput{
		Name:           name,
		Description:    description,
		Type:           ManagedSecretTypeRawValue,
		EncryptedValue: value.Ciphertext(),
		Owner:          ownerInput(of),
	}, c.about)
	created, err := output[*CreatedSecretCreateManagedSecretOutput](answer.GetCreateManagedSecret(), err)
	if err != nil {
		return "", err
	}
	return created.ManagedSecret.UpdatedAt, nil
}

// UpdateSecret replaces the value of a secret and, when it is not empty, its
// description, and returns its UpdatedAt after this write. The last writer wins:
// secrets have no revision.
func (c *Client) UpdateSecret(ctx context.Context, of warp.Owner, name, description string, value warp.SealedSecret) (stamp string, err error) {
	answer, err := UpdateManagedSecret(ctx, c.mutations, UpdateManagedSecretInput{
		Name:           name,
		Description:    description,
		EncryptedValue: value.Ciphertext(),
		Owner:          ownerInput(of),
	}, c.about)
	updated, err := output[*UpdatedSecretUpdateManagedSecretOutput](answer.GetUpdateManagedSecret(), err)
	if err != nil {
		return "", err
	}
	return updated.ManagedSecret.UpdatedAt, nil
}

func owner(kind SpaceType, uid string) warp.Owner {
	return warp.Owner{Type: warp.OwnerType(kind), UID: uid}
}

// ownerInput leaves out a user's UID: the server knows the caller.
func ownerInput(o warp.Owner) Owner {
	if o.Type == warp.UserOwner {
		return Owner{Type: OwnerTypeUser}
	}
	return Owner{Type: OwnerTypeTeam, Uid: o.UID}
}
