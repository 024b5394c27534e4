package warpsim

import (
	"fmt"
	"slices"
)

// integration is a connected integration, such as Slack.
type integration struct {
	provider    string
	owner       Owner  // that of its environment; zero for an integration that never had one
	environment string // a UID, perhaps of a deleted environment; empty for none
	configured  bool
	secrets     []string
}

// AddIntegration makes an integration, such as "slack", use an environment. An owner has one integration of each
// provider; a second call changes its environment. Without an environment it is connected, everyone sees it, and it
// has no configuration until AddIntegrationSecret gives it one.
func (s *Server) AddIntegration(environmentUID, provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var owner Owner
	if o := s.find(environmentUID); o != nil {
		owner = o.owner
	}
	for _, known := range s.integrations {
		if known.provider == provider && (known.owner == owner || known.owner == Owner{} || owner == Owner{}) {
			known.owner, known.environment = owner, environmentUID
			known.configured = known.configured || environmentUID != ""
			return
		}
	}
	s.integrations = append(s.integrations, &integration{
		provider: provider, owner: owner, environment: environmentUID, configured: environmentUID != "",
	})
}

// AddIntegrationSecret names further secrets in the configuration of the provider's integrations. Without names it
// only makes the configuration, which may be without environment. Panics when there is no such integration.
func (s *Server) AddIntegrationSecret(provider string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, known := range s.integrations {
		if known.provider == provider {
			known.configured, found = true, true
			known.secrets = append(known.secrets, names...)
		}
	}
	if !found {
		panic(fmt.Sprintf("warpsim: no integration %q", provider))
	}
}

// RemoveIntegration disconnects the provider from every environment.
func (s *Server) RemoveIntegration(provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.integrations = slices.DeleteFunc(s.integrations, func(known *integration) bool { return known.provider == provider })
}

func (s *Server) getIntegrations(c *call, args arguments) (object, error) {
	o, refusal := s.own(c, input[struct{ EnvironmentID string }](args).EnvironmentID)
	if refusal != nil {
		return refusal, nil
	}
	names := []any{}
	for _, known := range s.integrations {
		if known.environment == o.uid {
			names = append(names, known.provider)
		}
	}
	return answered("GetIntegrationsUsingEnvironmentOutput", object{"providerNames": names}), nil
}

// simpleIntegrations lists the integrations of the providers that the caller names. With a message it lists none.
func (s *Server) simpleIntegrations(c *call, args arguments) (object, error) {
	if s.options.IntegrationsMessage != "" {
		return answered("SimpleIntegrationsOutput", object{"message": s.options.IntegrationsMessage, "integrations": []any{}}), nil
	}
	wanted := input[struct{ Providers []string }](args).Providers
	list := []any{}
	for _, known := range s.integrations {
		if slices.Contains(wanted, known.provider) && (known.owner == Owner{} || c.caller.sees(known.owner)) {
			list = append(list, known.object())
		}
	}
	return answered("SimpleIntegrationsOutput", object{"integrations": list}), nil
}

func (known *integration) object() object {
	item := object{
		"providerSlug": known.provider, "description": "The integration with " + known.provider, "connectionStatus": "ACTIVE",
		"connectionLink": "",
	}
	if !known.configured {
		return item
	}
	refs := []any{}
	for _, name := range known.secrets {
		refs = append(refs, object{"name": name})
	}
	item["integrationConfig"] = object{
		"environmentUid": known.environment, "basePrompt": "", "modelId": "", "mcpServersJson": "", "computerUseEnabled": false,
		"secrets": refs,
	}
	return item
}
