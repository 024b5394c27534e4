package platform_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// secret holds every kind of character that an encoding may touch.
const secret = "ATATT3-_x%2B<y>&/z+~#[1]|*=9F0E1D2C"

var hidden = sensitive.New(secret)

func TestEverySpellingOfASecretIsHidden(t *testing.T) {
	t.Parallel()
	lower := regexp.MustCompile(`%..`)
	quoted, err := json.Marshal(secret)
	require.NoError(t, err)
	basic := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)) }
	for name, text := range map[string]string{
		"plain":                  secret,
		"of a query":             url.QueryEscape(secret),
		"of a path":              url.PathEscape(secret),
		"of a URL, lower case":   lower.ReplaceAllStringFunc(url.QueryEscape(secret), strings.ToLower),
		"of user information":    url.UserPassword("x-token-auth", secret).String(),
		"of a workflow command":  strings.ReplaceAll(url.QueryEscape(secret), "%", "%25"),
		"JSON":                   string(quoted),
		"JSON with slashes":      strings.ReplaceAll(secret, "/", `\/`),
		"JSON of Gson":           strings.NewReplacer("=", `\u003d`, "<", `\u003c`, ">", `\u003E`, "&", `\u0026`).Replace(secret),
		"HTML":                   html.EscapeString(secret),
		"HTML in numbers":        strings.NewReplacer("=", "&#61;", "+", "&#x2B;", "/", "&#x2f;").Replace(secret),
		"Markdown":               strings.NewReplacer("_", `\_`, "-", `\-`, "#", `\#`, "*", `\*`).Replace(secret),
		"Base64":                 base64.StdEncoding.EncodeToString([]byte(secret)),
		"Base64 for URLs":        base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"Basic of an API token":  basic("x-bitbucket-api-token-auth"),
		"Basic of an access key": basic("x-token-auth"),
		"Basic without a user":   basic(""),
		"Basic of one letter":    basic("a"),
		"Basic of a person":      basic("jane@example.com"),
		"Basic in a URL":         url.QueryEscape(basic("jane")),
		"Basic and more":         base64.StdEncoding.EncodeToString([]byte("a:" + secret + "\nand more")),
		"cut":                    secret[:shown+1],
		"a tail":                 secret[8:],
		"from its middle":        secret[11:23],
		"in another case":        strings.ToLower(secret),
		"hexadecimal":            hex.EncodeToString([]byte(secret)),
		"over two lines":         secret[:9] + "\n" + secret[9:],
		"with zero-width spaces": strings.ReplaceAll(secret, "T", "T\u200b"),
		"in bold":                "**" + secret[:10] + "**`" + secret[10:] + "`",
		"Base64, wrapped":        strings.ReplaceAll(basic("jane"), "9", "9\n"),
		"cut Base64":             basic("x-token-auth")[:40],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := start()
			j.Mask(nil, hidden)
			j.Log().Info("<" + text + ">")
			said := j.log.String()
			assert.Contains(t, said, "***")
			assert.Equal(t, "<", said[:1])
			for _, piece := range []string{secret[:shown], secret[len(secret)-8:]} {
				refuse(t, said, piece)
			}
		})
	}
}

// shown is the most of a secret that a cut may leave.
const shown = 12

// refuse fails when text has piece in it, plain or in Base64.
func refuse(t *testing.T, text, piece string) {
	t.Helper()
	assert.NotContains(t, text, piece)
	assert.NotContains(t, strings.ReplaceAll(text, `\`, ""), piece)
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("<>\n*", r) }) {
		for cut := range min(4, len(field)) {
			decoded, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(field[cut:], "="))
			assert.NotContains(t, string(decoded), piece, field)
		}
	}
}

func TestOrdinaryWordsStay(t *testing.T) {
	t.Parallel()
	j := start()
	j.Mask(nil, hidden, sensitive.New("abc"), sensitive.New(""), sensitive.String{}, sensitive.New("\n \n"))
	text := "abc ATATT3-_x% 100% \\ &amp; " + secret[:shown-1] + " " + base64.StdEncoding.EncodeToString([]byte("something else"))
	j.Log().Info(text)
	assert.Equal(t, text+"\n", j.log.String())
}

func TestASecretSpreadOverWritesIsHidden(t *testing.T) {
	t.Parallel()
	text := "begin " + secret + " end\nnext\n"
	for cut := range len(text) {
		var said bytes.Buffer
		redactor := platform.NewRedactor(&said, hidden)
		for _, part := range []string{text[:cut], "", text[cut:]} {
			n, err := redactor.Write([]byte(part))
			require.NoError(t, err)
			assert.Equal(t, len(part), n)
		}
		require.Equal(t, "begin *** end\nnext\n", said.String())
	}
}

func TestEveryLineOfASecretIsHidden(t *testing.T) {
	t.Parallel()
	j := start("BITBUCKET_BUILD_NUMBER=1")
	j.Mask(nil, sensitive.New("first-part\r\n  second-part \n}\n"))
	j.Log().Info("first-part second-part }")
	j.Log().Info("first-part\nsecond-part")
	assert.Equal(t, "INFO: *** *** }\nINFO: ***\nINFO:   ***\n", j.log.String())
}

func TestTheLongerOfTwoSecretsIsHiddenWhole(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"token", "token-and-more"}, {"token-and-more", "token"}} {
		j := start()
		j.Mask(nil, sensitive.New(order[0]), sensitive.New(order[1]))
		j.Log().Info("token token-and-more")
		assert.Equal(t, "*** ***\n", j.log.String())
	}
}

func TestGroupsAndJSONAreRedactedToo(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{nil, {"GITHUB_ACTIONS=true"}, {"BITBUCKET_BUILD_NUMBER=1"}, {"GITLAB_CI=true"}} {
		j := start(environ...)
		j.Mask(nil, hidden)
		j.out.Reset()
		j.Group(secret)()
		j.Log().Error(fmt.Sprintf("%s and %q", secret, secret))
		f := facts()
		f.Err = fmt.Errorf("echo %s", secret)
		f.Verdict.Reason = secret
		_ = j.Emit(f, "")
		for _, said := range []string{j.out.String(), j.log.String()} {
			assert.NotContains(t, said, secret[:shown], environ)
			assert.NotContains(t, said, secret[len(secret)-8:], environ)
		}
	}
}
