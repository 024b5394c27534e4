package config

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/stretchr/testify/assert"
)

// FuzzImage compares isImage with the library of Docker's registry.
func FuzzImage(f *testing.F) {
	for _, text := range []string{
		"", "ubuntu", "ubuntu:24.04", "Ubuntu", "UBUNTU:a", "ubuntu:", ":a", "a b", "docker://a", "https://a/b", "a:b:c", "a@b", "a//b", "/a", "a/",
		"localhost/a", "localhost:5000/a/b:c", "LOCALHOST/a", "Foo/bar", "foo/Bar", "a.b/c", "a_b.c/d", "a:5000/b", "a:b/c", "a/b:5000/c", "a:5000", "::1/a",
		"[::1]:5000/a", "[::1]/a", "[::g]/a", "a..b", "a.-b", "a-b", "a--b", "a---b", "a_b", "a__b", "a___b", "-a", "a-", "a-/b", "a.b-/c", "a/b_", "ä", "a:ä",
		"docker.io/a", "docker.io/a/b", "index.docker.io/a", "a:-b", "a:.b", "a:_b", "a:B.c-d_e", "a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129),
		strings.Repeat("a", 64), strings.Repeat("a", 63), strings.Repeat("g", 64), "a/" + strings.Repeat("a", 64), strings.Repeat("a", 64) + ":b",
		"a@sha256:" + strings.Repeat("0", 64), "a:b@sha256:" + strings.Repeat("f", 64), "a@sha256:" + strings.Repeat("0", 63), "a@sha256:" + strings.Repeat("F", 64),
		"a@sha384:" + strings.Repeat("0", 96), "a@sha512:" + strings.Repeat("0", 128), "a@sha512:" + strings.Repeat("0", 64), "a@md5:" + strings.Repeat("0", 32), "a@sha256", "a@SHA256:" + strings.Repeat("0", 64),
		"a@sha256:" + strings.Repeat("0", 64) + "@sha256:" + strings.Repeat("0", 64), "a@sha256:" + strings.Repeat("0", 64) + ":b", "a\n", "\na", "a:b\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, _, _ := strings.Cut(text, ":"); len(name) > 200 {
			t.Skip("the library has another limit") // it counts without the host, and with a "library/" of its own
		}
		_, err := reference.ParseNormalizedNamed(text)
		assert.Equal(t, err == nil, isImage(text), "%q: %v", text, err)
	})
}

func TestTheNameOfAnImageHasALimit(t *testing.T) {
	t.Parallel()
	assert.True(t, isImage("ghcr.io/"+strings.Repeat("a", 247)+":latest"))
	assert.False(t, isImage("ghcr.io/"+strings.Repeat("a", 248)+":latest"))
}
