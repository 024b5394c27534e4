package config

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// paste is something that people pass by mistake in place of a secret, or around one.
// Its texts describe the value and never show it.
type paste struct {
	form       *regexp.Regexp
	is, remedy string
	public     bool // holds no secret, and hiding it would hide ordinary words of the log
}

// path is what a job gets from a File variable of GitLab. Its remedy is pathRemedy.
var path = paste{is: "is the path of a file", public: true}

// Remedies that several pastes share.
const (
	passBare        = "pass the bare value"
	passItself      = "pass the token or key itself"
	passAfter       = "pass what follows"
	passAfterColon  = "pass what follows the colon"
	passAfterEquals = "pass what follows the equals sign"
	passURL         = "pass the token or key itself; a repository's URL belongs in repo_url"
)

// pastes are tried in order: the first that fits says what was pasted. None fits a
// token of Bitbucket or Warp, which holds letters, digits and + / = _ - . @ and no
// white space.
var pastes = sync.OnceValue(func() []paste {
	return []paste{
		{regexp.MustCompile(`^\$(?:env:)?[A-Za-z_]\w*\s*=`), "is an assignment to a variable", passAfterEquals, false},
		// $NAME, ${NAME}, ${{ secrets.NAME }}, $(NAME), $[variables.NAME], %NAME%, {{ .NAME }}
		{regexp.MustCompile(`(?s)^(?:\$[A-Za-z_{(\[].*|%[A-Za-z_][A-Za-z0-9_]*%|\{\{.*\}\})$`),
			"is the name of a variable, not its value", "pass the variable's value; check that it is defined for this job", false},
		{regexp.MustCompile(`(?s)^(?:\{.*\}|\[.*"[^"]*".*\]|[\[{]\s*".*|"[^"]*"\s*:.*)$`), "is JSON", "pass only the value inside that is the token or key", false},
		{regexp.MustCompile(`^(?:\*+|<[^<>]*>|\[[A-Za-z ]+\])$`), "is a placeholder", passItself, false},
		{regexp.MustCompile(`(?s)^(?:"[^"]+"|'[^']+'|` + "`[^`]+`" + `)$`), "has quotes around it", passBare, false},
		{regexp.MustCompile(`^-----BEGIN `), "is a key or certificate in PEM", passItself, false},
		{regexp.MustCompile(`^(?:ssh-[a-z0-9]+|ecdsa-\S+) `), "is an SSH key", passItself, false},
		{regexp.MustCompile(`^machine\s`), "is a line of .netrc", "pass what follows the word password", false},
		{regexp.MustCompile(`^(?:git|curl|wget|docker|oz)\s`), "is a whole command", "pass only the token or key inside", false},
		{regexp.MustCompile(`(?i)^(?:export|set|setx|env|declare|arg|-e|--env)\s|^(?-i:[A-Z][A-Z0-9]*_[A-Z0-9_]*)\s*=\s*[^=\s]|^(?:\w*_)?(?:token|key|password|secret)\s*=\s*[^=\s]`),
			"is an assignment to a variable", passAfterEquals, false},
		{regexp.MustCompile(`(?i)^(?:-H\s+|http\.\S*extraheader\s*[=:]?\s*)?['"]?(?:authorization\s*:\s*)?basic\s`),
			"is a header of HTTP's scheme Basic, which encodes user and token together", passItself, false},
		{regexp.MustCompile(`(?i)^(?:-H\s|http\.\S*extraheader|authorization *:|bearer\s|token\s)`), "begins with the name of an HTTP header or scheme", passAfter, false},
		{regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*:\s`), "begins with a name and a colon", passAfter, false},
		{regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*://[^/\s:@]*:\S*@|^[^:/\s]+:[^/\s]\S*@[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/`),
			"is a URL with credentials in it", "pass only what is between the user's colon and the @", false},
		{regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*://\S*@`), "is a URL with a user in it", passURL, false},
		{regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*://|^(?:www\.)?bitbucket\.org/`), "is a URL", passURL, true},
		{regexp.MustCompile(`^git@|^[^\s:@]+@[^\s:@]+:\S+\.git$`), "is the SSH address of a repository", passURL, true},
		{regexp.MustCompile(`^[^\s:@/]+@[^\s:@/]+\.[^\s:@/]+:`), "begins with an e-mail address", passAfterColon, false},
		{regexp.MustCompile(`^[^\s:@/]+@[^\s:@/]+\.[A-Za-z]{2,}$`), "is an e-mail address", passItself, true},
		{regexp.MustCompile(`^x-(?:bitbucket-api-)?token-auth\b`), "begins with a user name", passAfterColon, false},
		{regexp.MustCompile(`^(?:~?/|\.\.?/|[A-Za-z]:\\)[^\r\n]*$`), path.is, "", path.public},
	}
})

// pastedFor recognises a value that is not a secret itself. It also looks for a file
// with the value as its path.
func (p *parser) pastedFor(input, value string) (found paste, ok bool) {
	if value == "" || beginsLikeToken(value) {
		return paste{}, false
	}
	at := slices.IndexFunc(pastes(), func(known paste) bool { return known.form.MatchString(value) })
	switch {
	case at >= 0:
		found = pastes()[at]
	case isEncoded(value):
		found = paste{is: "is a token in Base64", remedy: "decode it first, and pass the token alone, without a user"}
	case followsUser(value):
		found = paste{is: "begins with a user name", remedy: passAfterColon}
	case p.isFile(value):
		found = path
	}
	if found.is == path.is {
		found.remedy = pathRemedy(input)
	}
	return found, found.is != ""
}

// pathRemedy says where to give a path instead.
func pathRemedy(input string) string {
	switch {
	case input == tokenVariable:
		return "put the token itself into the variable"
	case strings.HasSuffix(input, "_file"):
		return "put the secret itself into the file"
	}
	return "use " + input + "_file, which takes a path"
}

// password reads a password. Almost any text can be one.
func (p *parser) password(name string, value sensitive.String, file string) sensitive.String {
	value = p.valueOrFile(name, value, file)
	if file != "" {
		name += "_file"
	}
	text := value.Reveal()
	device := strings.HasPrefix(text, "/dev/") || strings.HasPrefix(text, "/proc/") // reading one may never end
	switch {
	case slices.Contains(secretVariables, text):
		p.add(name, "pass the variable's value", "is the name of a variable, not its value")
		return sensitive.String{} // the log may show a name
	case strings.Contains(text, "\n"):
		p.add(name, passBare+", on one line", "holds a line break")
	case strings.HasPrefix(text, "/") && !device && p.isFile(text):
		p.add(name, pathRemedy(name), "%s", path.is)
	case slices.ContainsFunc(findings(text), func(f finding) bool { return !f.looksLikeAnother() }):
		p.warn("%s holds an invisible character; check what was pasted", name) // which one is not said: the password may really hold it
	}
	return value
}

// longestPath is how many bytes Linux allows in a path.
const longestPath = 4095

// isFile reports whether a value that does not look like a path is the name of a file,
// such as token.txt.
func (p *parser) isFile(value string) bool {
	if len(value) > longestPath || strings.ContainsAny(value, "\n\x00") {
		return false
	}
	_, err := p.readFile(value)
	return err == nil
}

// followsUser reports whether a value is user:token.
func followsUser(value string) bool {
	_, token, found := strings.Cut(value, ":")
	return found && beginsLikeToken(token)
}

func beginsLikeToken(text string) bool {
	return bitbucket.ForeignKind("", func(prefix string) bool { return strings.HasPrefix(text, prefix) }) != ""
}

// isEncoded reports whether a value is a token in Base64, as in a Secret of Kubernetes,
// or user:token in Base64, as in a Basic header.
func isEncoded(value string) bool {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	text := strings.TrimSpace(string(decoded))
	return err == nil && !strings.ContainsFunc(text, bitbucket.NotInToken) && (beginsLikeToken(text) || followsUser(text))
}

// hide keeps a wrong value out of everything that is printed. Names of variables inside
// it are not hidden, because messages need the names of inputs.
func (p *parser) hide(value string) {
	parts := variables().Split(value, -1)
	for i, part := range parts {
		parts[i] = strings.Trim(part, "\"'`=:{}[]<>, \r\n\t")
	}
	longest := slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) })
	for _, part := range parts {
		if len(part) >= shortestPiece || part == longest && part != "" {
			p.config.Pasted = append(p.config.Pasted, sensitive.New(part))
		}
	}
}

// shortestPiece is the least length of a part that is hidden, when a wrong value has
// several parts.
const shortestPiece = 12

// variables finds the names of inputs and of secrets' variables, except ordinary words
// such as "mode".
var variables = sync.OnceValue(func() *regexp.Regexp {
	names := slices.Clone(secretVariables)
	for _, input := range table {
		if strings.Contains(input.Name, "_") {
			names = append(names, input.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile(`(?i)` + strings.Join(names, "|"))
})
