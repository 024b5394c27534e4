package setup

import (
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// programName is the "$0" of the helper command: it opens its messages, and
// it tells our command from others.
const programName = "oz-bitbucket"

// helperCommand is
//
//	sh -c 'SCRIPT' oz-bitbucket URL DIRECTORY [--branch BRANCH] [--depth N]
//
// What varies freely comes after the script, so that the script needs no
// single quote and is safe in bash (history expansion included), zsh, dash and
// fish. Nothing that it exports or defines outlives it, and its variables start
// with "_" to be none that the environment holds the token in.
func (c Clone) helperCommand() string {
	script := strings.NewReplacer(
		"SECRET", c.Secret,
		"ORIGIN", c.Repository.Origin(),
		"REQUIREMENT", c.requirement(),
		"ANSWER", c.answer(),
	).Replace(helperScript)
	return strings.TrimSpace("sh -c '" + oneLine(script) + "' " + programName + " " +
		quote(c.Repository.CloneURL()) + " " + quote(checkout(c.Repository)) + " " + c.options())
}

// helperScript clones, or completes and refreshes what is there.
//
// Credentials. The helper holds the variable's name, never its value. The
// empty helper before it drops every helper that the image or Oz configured,
// which would otherwise store the token or answer with a stale one. It is
// scoped to the origin, so no other host is ever asked for. It is written
// twice: into the checkout, which git reads last and which therefore nothing
// overrides, and into the user's global configuration, because a submodule is
// cloned without a look into the configuration of the repository around it.
// The container is fresh and belongs to the run, so the two global lines are
// no one else's; where they cannot be written, only submodules miss them.
//
// Repetition. Git writes the index at the very end of a clone, so an index
// tells a checkout in which somebody may have worked: it gets its origin, the
// helper and a fetch, and keeps its files and branches. Without one, the clone
// never ended: the repository is cloned again beside it and takes the place of
// the unfinished one, which stays in a temporary directory; files that differ
// from HEAD go to the stash, others are not touched. A directory that is no
// repository is left to git, which refuses it unless it is empty.
//
// Source: gitcredentials(7) and git-credential(1) for the helper's protocol;
// tested with git 2.25.1, 2.31.0, 2.39.5, 2.46.0 and 2.55.0.
const helperScript = `
_url=$1 _dir=$2; shift 2;
fail() { echo "$0: $1" >&2; exit 1; };
command -v git >/dev/null || fail "git is not installed in this image";
: "${SECRET:?is not set in this environment}";
REQUIREMENT
export GIT_TERMINAL_PROMPT=0;
_key=credential.ORIGIN.helper;
_helper="!f() { test \"\$1\" = get || exit 0; ANSWER; }; f";
remember() { git "$@" --replace-all $_key "" && git "$@" --add $_key "$_helper"; };
clone() { git clone -c $_key= -c $_key="$_helper" "$@"; };
remember config --global;
case $(git --git-dir="$_dir/.git" config remote.origin.url 2>/dev/null) in
	"" | *[/@]"${_url#*//}") ;;
	*) fail "$_dir is there already, and its origin is not $_url";;
esac;
if _index=$(git --git-dir="$_dir/.git" rev-parse --git-path index 2>/dev/null) && test -e "$_index"; then
	git -C "$_dir" config remote.origin.url "$_url" && remember -C "$_dir" config && git -C "$_dir" fetch origin;
elif test -e "$_dir/.git"; then
	_new=$(mktemp -d) && clone --no-checkout "$@" "$_url" "$_new" &&
	mv "$_dir/.git" "$_new/unfinished" && mv "$_new/.git" "$_dir" && cd "$_dir" &&
	if git rev-parse --quiet --verify HEAD >/dev/null; then git reset --quiet && git stash; fi;
else
	clone "$@" "$_url" "$_dir";
fi`

// answer is what the helper says to "get". Data Center takes Bearer from any
// token, but git can send it only since 2.46, which then offers the capability
// authtype; an older git sends Basic.
func (c Clone) answer() string {
	token := `\${` + c.Secret + `:?is not set}\"`
	basic := `echo username=` + c.Kind.User() + `; echo \"password=` + token
	if c.Repository.Flavor != bitbucket.DataCenter {
		return basic
	}
	return `if grep -qF \"capability[]=authtype\"; then ` +
		`echo \"capability[]=authtype\"; echo authtype=Bearer; echo \"credential=` + token + `; ` +
		`else ` + basic + `; fi`
}

// requirement fails early where only Bearer will do and git cannot send it.
func (c Clone) requirement() string {
	if !c.BearerOnly {
		return ""
	}
	return bearerCheck + ` </dev/null 2>/dev/null | grep -q authtype || ` +
		`fail "this server takes the token only as Bearer, for which git 2.46 or newer is needed in the image";`
}

// bearerCheck asks git whether it can send Bearer. It stands in a command only
// where nothing else will do.
const bearerCheck = "git credential capability"

// oneLine joins the lines of a script that has no white space to keep.
func oneLine(script string) string { return strings.Join(strings.Fields(script), " ") }
