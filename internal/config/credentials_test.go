package config_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// pasted are wrong values of a secret, with % for the secret itself, and the messages
// about them.
var pasted = map[string]string{
	"user@example.com:%":           "begins with an e-mail address; pass what follows the colon",
	"user@example.com":             "is an e-mail address; pass the token or key itself",
	"x-token-auth:%":               "begins with a user name; pass what follows the colon",
	"x-bitbucket-api-token-auth:%": "begins with a user name; pass what follows the colon",
	"jane:%":                       "begins with a user name; pass what follows the colon",
	"Bearer %":                     "begins with the name of an HTTP header or scheme; pass what follows",
	"token %":                      "begins with the name of an HTTP header or scheme; pass what follows",
	"authorization: bearer %":      "begins with the name of an HTTP header or scheme; pass what follows",
	`-H "Authorization: Bearer %"`: "begins with the name of an HTTP header or scheme; pass what follows",
	"http.extraHeader=Authorization: Bearer %":       "begins with the name of an HTTP header or scheme; pass what follows",
	"Authorization: Basic eDp5":                      "is a header of HTTP's scheme Basic, which encodes user and token together; pass the token or key itself",
	"X-Api-Key: %":                                   "begins with a name and a colon; pass what follows",
	"bitbucket_token: %":                             "begins with a name and a colon; pass what follows",
	"https://x-token-auth:%@bitbucket.org/a/b.git":   "is a URL with credentials in it; pass only what is between the user's colon and the @",
	"https://%@bitbucket.org/acme/api.git":           "is a URL with a user in it; pass the token or key itself; a repository's URL belongs in repo_url",
	"https://jane@bitbucket.org/acme/api.git":        "is a URL with a user in it; pass the token or key itself; a repository's URL belongs in repo_url",
	"x-token-auth:%@bitbucket.org/acme/api.git":      "is a URL with credentials in it; pass only what is between the user's colon and the @",
	"https://bitbucket.org/acme/api.git":             "is a URL; pass the token or key itself; a repository's URL belongs in repo_url",
	"https://bitbucket.org/a/b?access_token=%":       "is a URL; pass the token or key itself; a repository's URL belongs in repo_url",
	"bitbucket.org/acme/api":                         "is a URL; pass the token or key itself; a repository's URL belongs in repo_url",
	"git@bitbucket.org:acme/api.git":                 "is the SSH address of a repository; pass the token or key itself; a repository's URL belongs in repo_url",
	"git clone https://x-token-auth:%@bitbucket.org": "is a whole command; pass only the token or key inside",
	`{"token": "%"}`:                                 "is JSON; pass only the value inside that is the token or key",
	"{\n  \"token\": \"%\"\n}":                       "is JSON; pass only the value inside that is the token or key",
	`["%"]`:                                          "is JSON; pass only the value inside that is the token or key",
	`"token": "%"`:                                   "is JSON; pass only the value inside that is the token or key",
	"export BITBUCKET_TOKEN=%":                       "is an assignment to a variable; pass what follows the equals sign",
	"export BITBUCKET_TOKEN='%'":                     "is an assignment to a variable; pass what follows the equals sign",
	"BITBUCKET_TOKEN=%":                              "is an assignment to a variable; pass what follows the equals sign",
	"token=%":                                        "is an assignment to a variable; pass what follows the equals sign",
	"set WARP_API_KEY=%":                             "is an assignment to a variable; pass what follows the equals sign",
	`$env:WARP_API_KEY = "%"`:                        "is an assignment to a variable; pass what follows the equals sign",
	"-e WARP_API_KEY=%":                              "is an assignment to a variable; pass what follows the equals sign",
	"{{ .Values.token }}":                            "is the name of a variable, not its value; pass the variable's value; check that it is defined for this job",
	"$[variables.token]":                             "is the name of a variable, not its value; pass the variable's value; check that it is defined for this job",
	"***":                                            "is a placeholder; pass the token or key itself",
	"<your token>":                                   "is a placeholder; pass the token or key itself",
	"[MASKED]":                                       "is a placeholder; pass the token or key itself",
	"-----BEGIN OPENSSH PRIVATE KEY-----\n%":         "is a key or certificate in PEM; pass the token or key itself",
	"ssh-ed25519 % jane":                             "is an SSH key; pass the token or key itself",
	"machine bitbucket.org login jane password %":    "is a line of .netrc; pass what follows the word password",
}

func TestWhatIsPastedInPlaceOfASecretIsNamed(t *testing.T) {
	t.Parallel()
	for form, want := range pasted {
		for _, secret := range []string{apiToken, httpToken} {
			requirePasted(t, strings.ReplaceAll(form, "%", secret), want)
		}
	}
	for _, plain := range []string{apiToken, "jane:" + apiToken, "x-token-auth:" + httpToken} {
		requirePasted(t, base64.StdEncoding.EncodeToString([]byte(plain)), "is a token in Base64; decode it first, and pass the token alone, without a user")
	}
}

// requirePasted gives a value as each of the secrets, by its input and in a file.
func requirePasted(t *testing.T, value, want string) {
	t.Helper()
	for _, name := range []string{"bitbucket_token", "warp_api_key", "previous_token"} {
		base := cloud(with("mode", "rotate"))
		base[name] = value
		require.Equal(t, []string{name + ": " + want}, problems(t, base, nil), value)
		base[name], base[name+"_file"] = "", "/run/secret"
		require.Equal(t, []string{name + "_file: " + want}, problems(t, base, files{"/run/secret": value + "\n"}), value)
	}
}

func TestAPathInPlaceOfASecretIsNamed(t *testing.T) {
	t.Parallel()
	read := files{"token.txt": apiToken, "/builds/acme/api.tmp/TOKEN": apiToken, "secrets/my token": apiToken}
	for _, name := range []string{"bitbucket_token", "warp_api_key", "previous_token"} {
		for _, path := range []string{"token.txt", "secrets/my token", "/builds/acme/api.tmp/TOKEN", "/not/mounted/here", "./token.txt", "../x", "~/token", `C:\secrets\token`} {
			base := cloud(with("mode", "rotate"), with(name, path))
			assert.Equal(t, []string{name + ": is the path of a file; use " + name + "_file, which takes a path"}, problems(t, base, read), path)
			base[name], base[name+"_file"] = "", "/run/secret"
			read := files{"/run/secret": path, "token.txt": apiToken, "secrets/my token": apiToken}
			assert.Equal(t, []string{name + "_file: is the path of a file; put the secret itself into the file"}, problems(t, base, read), path)
		}
	}
}

// TestNoDeviceIsReadInPlaceOfASecret: reading a device may never end.
func TestNoDeviceIsReadInPlaceOfASecret(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bitbucket_token", "bitbucket_password"} {
		for _, path := range []string{"/dev/zero", "/proc/self/fd/0"} {
			_, _ = config.Parse(cloud(with(name, path)), func(path string) ([]byte, error) {
				t.Errorf("%s was read", path)
				return nil, nil
			}, noVariable)
		}
	}
}

func TestAPasswordMayBeAnythingThatCanBeOne(t *testing.T) {
	t.Parallel()
	read := files{"/run/password": "x"}
	base := func(value string) map[string]string {
		return server(with("mode", "rotate"), with("mint", "true"), with("bitbucket_token", ""), with("bitbucket_username", "jane"), with("bitbucket_password", value))
	}
	for _, value := range []string{"Bearer x y", `{"a": "b"}`, "user@example.com:x", "$(x)", "NAME_OF=x", `"quoted"`, "/no/such/file", "p ss"} {
		assert.Empty(t, problems(t, base(value), read), value)
	}
	for value, want := range map[string]string{
		"/run/password":      "is the path of a file; use bitbucket_password_file, which takes a path",
		"BITBUCKET_PASSWORD": "is the name of a variable, not its value; pass the variable's value",
		"one\ntwo":           "holds a line break; pass the bare value, on one line",
	} {
		assert.Equal(t, []string{"bitbucket_password: " + want}, problems(t, base(value), read), value)
	}
}

// TestTokensAreNoPastes: a valid token is never reported as a wrong paste.
func TestTokensAreNoPastes(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		apiToken, httpToken, "ATATT3xFfGF0_A=B", "ATBB_A=BCD", "MjUyOTczNTE1MDY5On2rAb/cd+", "NDA1_OTYz=", "OTQ3ABC==", "M@jU-yO_Tcz",
		"BBDC-NjAzMjgzMTU0NzU1Ou/cd@x_y-z", "opaque", "to.ken", "a:b",
	} {
		assert.NotContains(t, strings.Join(problems(t, server(with("bitbucket_token", token)), nil), "\n"), "pass ", token)
	}
}

// TestAPastedSecretIsHiddenAndTheInputsNameIsNot: the name is a part of the pasted
// text.
func TestAPastedSecretIsHiddenAndTheInputsNameIsNot(t *testing.T) {
	t.Parallel()
	for form, want := range map[string][]string{
		"export BITBUCKET_TOKEN='%'":         {"%"},
		`{"bitbucket_token": "%"}`:           {"%"},
		"WARP_API_KEY=%":                     {"%"},
		"x-token-auth:%":                     {"x-token-auth:%"},
		"API_KEY=short":                      {"API_KEY=short"},
		"PREVIOUS_TOKEN=short":               {"short"},
		"https://bitbucket.org/acme/api.git": nil,
		"/builds/acme/api.tmp/TOKEN":         nil,
		"user@example.com":                   nil,
	} {
		job, err := config.Parse(cloud(with("bitbucket_token", strings.ReplaceAll(form, "%", apiToken))), files{}.read, noVariable)
		require.Error(t, err, form)
		var hidden []string
		for _, secret := range job.Secrets() {
			if secret.Reveal() != warpAPIKey {
				hidden = append(hidden, strings.ReplaceAll(secret.Reveal(), apiToken, "%"))
			}
		}
		assert.Equal(t, want, hidden, form)
	}
}

// FuzzPasted: whatever is around a secret, no message shows a piece of it.
func FuzzPasted(f *testing.F) {
	for form := range pasted {
		f.Add(form)
	}
	f.Add("/%")
	f.Fuzz(func(t *testing.T, form string) {
		const secret = "Qz7MARKERtoken9x4Lw"
		value := strings.ReplaceAll(form, "%", secret)
		name := []string{"bitbucket_token", "warp_api_key", "bitbucket_password"}[len(form)%3]
		requireNothingOf(t, problems(t, cloud(with(name, value)), files{}), secret)
		base := cloud(with(name+"_file", "/run/secret"))
		delete(base, name)
		requireNothingOf(t, problems(t, base, files{"/run/secret": value}), secret)
	})
}
