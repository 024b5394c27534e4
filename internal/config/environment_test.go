package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestNamesAndOwners(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "_", "_1", "my_Token_2"} {
		assert.Equal(t, name, parse(t, cloud(with("secret_name", name))).SecretName)
	}
	assert.Equal(t, warp.UserOwner, parse(t, cloud(with("scope", "personal"))).Scope)
	assert.Equal(t, "jane-notes", parse(t, server(with("repo_url", "https://git.example.com/scm/~jane/notes.git"))).EnvironmentName)
	byID := parse(t, cloud(with("environment_id", "En00000000000000000001")))
	assert.Empty(t, byID.EnvironmentName, "the name stays")

	const notAName = "is not the name of an environment variable; use letters, digits and _, not beginning with a digit"
	requireRefused(t, []refusal{
		{"a dash in the secret's name", cloud(with("secret_name", "my-token")), "secret_name: " + notAName},
		{"a digit in front", cloud(with("secret_name", "1TOKEN")), "secret_name: " + notAName},
		{"another letter", cloud(with("secret_name", "TÖKEN")), "secret_name: " + notAName},
		{"two names", cloud(with("secret_name", "A\nB")), "secret_name: " + notAName},
		{"names on one line", cloud(with("environment_secrets", "NPM_TOKEN, OTHER")), "environment_secrets: " + notAName},
		{"a team of nobody", cloud(with("scope", "personal"), with("team", "Acme")), "team: is given, but scope is personal; leave one of them out"},
		{"an owner that does not exist", cloud(with("scope", "workspace")), "scope: is not one of team, personal"},
	})
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 240)
	assert.Equal(t, long, parse(t, cloud(with("description", long))).Description)
	for _, image := range []string{"ubuntu", "ubuntu:24.04", "localhost:5000/a/b:c", "warpdotdev/dev-base:latest", "ghcr.io/a/b@sha256:" + strings.Repeat("0", 64)} {
		assert.Equal(t, image, parse(t, cloud(with("docker_image", image))).DockerImage)
	}
	const (
		badID    = "environment_id: is not an ID, which has 22 letters and digits; copy it from Oz or from the outputs of an earlier run"
		badImage = " is not an image; give a reference such as ubuntu:24.04"
	)
	requireRefused(t, []refusal{
		{"a long description", cloud(with("description", long+"!")), "description: has 241 characters, and Oz allows 240; shorten it"},
		{"a name of two lines", cloud(with("environment_name", "a\nb")), "environment_name: holds a line break or another control character; use one line of text"},
		{"an ID of 21", cloud(with("environment_id", "En0000000000000000001")), badID},
		{"an ID of 23", cloud(with("environment_id", "En000000000000000000001")), badID},
		{"an ID with a dash", cloud(with("environment_id", "En-0000000000000000001")), badID},
		{"an image with a blank", cloud(with("docker_image", "ubuntu 24.04")), `docker_image: "ubuntu 24.04"` + badImage},
		{"an image in upper case", cloud(with("docker_image", "Ubuntu")), `docker_image: "Ubuntu" is not an image: its name and its digest must be in lower case; give a reference such as ubuntu:24.04`},
		{"an image with a scheme", cloud(with("docker_image", "docker://ubuntu")), `docker_image: "docker://ubuntu"` + badImage},
		{"an image with an empty tag", cloud(with("docker_image", "ubuntu:")), `docker_image: "ubuntu:"` + badImage},
	})
}
