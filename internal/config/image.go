package config

import (
	"regexp"
	"strings"
	"sync"
)

// image is the form of a reference of a container image: host, path, tag and digest.
//
// Source: https://github.com/distribution/reference/blob/v0.6.0/regexp.go
var image = sync.OnceValue(func() *regexp.Regexp {
	const (
		label = `[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?`
		host  = `(?:` + label + `(?:\.` + label + `)*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?`
		part  = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	)
	return regexp.MustCompile(`^((?:` + host + `/)?` + part + `(?:/` + part + `)*)(?::(\w[\w.-]*))?(?:@(sha256|sha384|sha512):([a-f0-9]+))?$`)
})

// Most bytes of the name of an image, with its host, and of its tag.
//
// Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md (Pulling manifests)
const (
	longestImage = 255
	longestTag   = 128
)

// digits are how many hexadecimal digits a digest has.
var digits = map[string]int{"": 0, "sha256": 64, "sha384": 96, "sha512": 128}

// isImage reports whether docker pull would take a text for an image. Docker takes 64
// hexadecimal digits for the ID of one that it has.
func isImage(text string) bool {
	parts := image().FindStringSubmatch(text)
	return parts != nil && len(parts[1]) <= longestImage && len(parts[2]) <= longestTag && len(parts[4]) == digits[parts[3]] &&
		!(len(text) == digits["sha256"] && strings.Trim(text, "0123456789abcdef") == "")
}
