package warpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// providers are the integrations that Warp's own client asks for.
//
// Source: warpdotdev/warp, app/src/ai/agent_sdk/integration.rs (2026-08).
var providers = []string{"slack", "linear"}

// ListConnected returns the integrations that are connected to the caller's team, and
// the environments in which their agents work.
func (c *Client) ListConnected(ctx context.Context) ([]warp.Integration, error) {
	answer, err := SimpleIntegrations(ctx, c.queries, providers, c.about)
	list, err := output[*ConnectedSimpleIntegrationsOutput](answer.GetSimpleIntegrations(), err)
	if err != nil {
		return nil, err
	}
	if list.Message != "" { // Warp's client shows this message in place of the list
		return nil, &warp.Refusal{Status: http.StatusOK, Message: beginning(list.Message)}
	}
	if list.Integrations == nil {
		return nil, errors.New("the answer holds no list of integrations")
	}
	integrations := make([]warp.Integration, len(list.Integrations))
	for i, found := range list.Integrations {
		if !isPlainID(found.IntegrationConfig.EnvironmentUid) {
			return nil, errors.New("the list holds an integration whose environment has an invalid UID")
		}
		integrations[i] = warp.Integration{Provider: found.ProviderSlug, EnvironmentID: found.IntegrationConfig.EnvironmentUid}
		for _, secret := range found.IntegrationConfig.Secrets {
			integrations[i].Secrets = append(integrations[i].Secrets, secret.Name)
		}
	}
	return integrations, nil
}

// DeleteSecret deletes a secret permanently. Environments and schedules keep its name,
// and their runs no longer get the variable.
func (c *Client) DeleteSecret(ctx context.Context, of warp.Owner, name string) error {
	answer, err := DeleteManagedSecret(ctx, c.mutations, DeleteManagedSecretInput{Name: name, Owner: ownerInput(of)}, c.about)
	_, err = output[*DeletedSecretDeleteManagedSecretOutput](answer.GetDeleteManagedSecret(), err)
	return err
}

// ListFactories returns the factories that the caller can see. It is refused with 403
// or 404 when the plan does not include factories.
//
// Source: the Oz SDK of 2026-08 and newer, GET /factory.
func (c *Client) ListFactories(ctx context.Context, of warp.Owner) ([]warp.Factory, error) {
	ctx, stop := transport.ForList(ctx)
	defer stop()
	var found []warp.Factory
	var pages transport.Pages
	query := url.Values{}
	for {
		var page struct {
			Factories *[]struct {
				UID, Name   string
				Environment string                         `json:"default_environment"`
				Defaults    struct{ Secrets []secretName } `json:"agent_defaults"`
			}
			PageInfo struct {
				HasNextPage bool   `json:"has_next_page"`
				NextCursor  string `json:"next_cursor"`
			} `json:"page_info"`
		}
		var size int
		if err := c.For(of).send(ctx, call{method: http.MethodGet, path: "/api/v1/factory", query: query, out: &page, bound: factories, size: &size}); err != nil {
			return nil, err
		}
		if page.Factories == nil {
			return nil, errors.New("GET /api/v1/factory: the answer holds no list")
		}
		next := page.PageInfo.NextCursor
		last := !page.PageInfo.HasNextPage || next == ""
		if err := pages.Add(len(*page.Factories), size, last); err != nil {
			return nil, fmt.Errorf("GET /api/v1/factory: %w", tooLong{err})
		}
		for _, f := range *page.Factories {
			if !isPlainID(f.UID) || !isPlainID(f.Environment) {
				return nil, errors.New("GET /api/v1/factory: the list holds a factory with an invalid UID")
			}
			factory := warp.Factory{UID: f.UID, Name: f.Name, EnvironmentID: f.Environment}
			for _, name := range f.Defaults.Secrets {
				factory.Secrets = append(factory.Secrets, string(name))
			}
			found = append(found, factory)
		}
		switch {
		case last:
			return found, nil
		case next == query.Get("cursor"):
			return nil, errors.New("GET /api/v1/factory: the list does not end: a page names itself as the next")
		}
		query.Set("cursor", next)
	}
}

// secretName is the name of a secret, as text or in an object: the form in factories is
// not documented.
type secretName string

// UnmarshalJSON reads "NAME" or {"name": "NAME"}.
func (n *secretName) UnmarshalJSON(text []byte) error {
	var object struct{ Name string }
	if json.Unmarshal(text, &object) == nil {
		*n = secretName(object.Name)
		return nil
	}
	return json.Unmarshal(text, (*string)(n))
}

// ListGoing returns the newest runs in an environment that have not ended, including
// those that wait for a human.
func (c *Client) ListGoing(ctx context.Context, of warp.Owner, environmentID string) ([]warp.Run, error) {
	states := []string{string(warp.Queued), string(warp.Pending), string(warp.Claimed), string(warp.InProgress), string(warp.Blocked)}
	runs, err := c.For(of).listRuns(ctx, url.Values{"environment_id": {environmentID}, "state": states})
	return slices.DeleteFunc(runs, func(r warp.Run) bool { return r.State.Over() }), err
}

// ListEgress returns the network addresses of runs that Warp hosts, as CIDR blocks. An
// older server refuses with 404.
//
// Source: the Oz SDK of 2026-09, GET /networking/egress-ranges.
func (c *Client) ListEgress(ctx context.Context) ([]string, error) {
	var ranges struct{ CIDRs []string }
	call := call{method: http.MethodGet, path: "/api/v1/networking/egress-ranges", out: &ranges}
	if err := c.send(ctx, call); err != nil {
		return nil, err
	}
	for _, block := range ranges.CIDRs {
		if _, err := netip.ParsePrefix(block); err != nil {
			return nil, fmt.Errorf("%s: the answer holds an invalid range of addresses", call)
		}
	}
	return ranges.CIDRs, nil
}
