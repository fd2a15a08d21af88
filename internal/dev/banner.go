package dev

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tallystick/tallystick/internal/oauth"
)

// A verifier and its challenge (RFC 7636 Appendix B), so that the printed
// exchange needs no other tool than curl and sed. Anybody knows this verifier;
// a real client draws a new one each time.
const (
	sampleVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	sampleChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// printBanner prints what a newcomer needs, in the order in which he needs it.
// The exchanges can be pasted into a shell as they are.
func printBanner(out io.Writer, w *world, base, curl, dir string) {
	p := &painter{color: isTerminal(out)}
	p.line("")
	p.line("  " + p.bold("Tallystick") + p.dim("  redeems exactly once, and says why not"))
	p.line("")
	p.line("  " + p.bold("Click first") + "   " + p.accent(base+"/dev"))
	p.line("  User          " + w.User.Email)
	p.line("  Password      " + w.User.Password)
	p.line("")

	p.title("Standard face", "OAuth 2.1 and OpenID Connect; a service for itself")
	p.line(curl + ` -s ` + w.Issuer + `/oauth2/token -u ` + w.Clients.Service.ClientID + `:` + w.Clients.Service.ClientSecret + ` \`)
	p.line(`  -d grant_type=client_credentials; echo`)
	p.line("")

	p.title("Dressipi face", "an anonymous profile, by PKCE")
	p.line(`code=$(` + curl + ` -sG ` + w.Dressipi.BaseURI + `/oauth/authorize -d response_type=code -d state=mine \`)
	p.line(`  -d client_id=` + w.Dressipi.ClientID + ` -d redirect_uri=` + oauth.URNAuto + ` \`)
	p.line(`  -d code_challenge_method=S256 -d code_challenge=` + sampleChallenge + ` |`)
	p.line(`  sed 's/.*"code":"\([^"]*\)".*/\1/')`)
	p.line(curl + ` -s ` + w.Dressipi.BaseURI + `/oauth/token -d grant_type=authorization_code -d code=$code \`)
	p.line(`  -d client_id=` + w.Dressipi.ClientID + ` -d redirect_uri=` + oauth.URNAuto + ` \`)
	p.line(`  -d code_verifier=` + sampleVerifier + `; echo`)
	p.line("")

	p.title("Userdocks face", "e-mail and password, for an app")
	p.line(`code=$(` + curl + ` -s ` + w.Userdocks.APIURI + `/api/v1/codes -H 'Content-Type: application/json' -d '{`)
	p.line(`  "appUuid": "` + w.Userdocks.AppUUID + `", "state": "mine",`)
	p.line(`  "email": "` + w.User.Email + `", "password": "` + w.User.Password + `",`)
	p.line(`  "redirectUri": "` + w.Userdocks.RedirectURI + `"}' |`)
	p.line(`  sed 's/.*[?]code=\([^&]*\)&.*/\1/')`)
	p.line(curl + ` -s ` + w.Userdocks.APIURI + `/api/v1/tokens -H 'Content-Type: application/json' -d '{`)
	p.line(`  "client_id": "` + w.Userdocks.AppUUID + `", "service": "email",`)
	p.line(`  "grant_type": "authorization_code", "code": "'$code'", "state": "mine", "nonce": "once",`)
	p.line(`  "redirect_uri": "` + w.Userdocks.RedirectURI + `"}'; echo`)
	p.line("")
	p.line("  " + p.dim("Discovery     ") + w.Issuer + "/.well-known/openid-configuration")
	p.line("  " + p.dim("Account       ") + w.Issuer + "/account")
	p.line("  " + p.dim("Mails         ") + w.Mailbox)
	p.line("  " + p.dim("For scripts   ") + dir + "/dev.json")
	p.line("  " + p.dim("Stop          ") + "Ctrl-C; all of it comes back at the next start")
	p.line("")
	_, _ = io.WriteString(out, p.text.String()) // who does not read it does not miss it
}

// painter collects the banner's lines.
type painter struct {
	out   io.Writer
	color bool
	text  strings.Builder
}

func (p *painter) line(s string) { fmt.Fprintln(&p.text, s) }

func (p *painter) title(name, what string) {
	p.line("  " + p.bold(name) + p.dim("  "+what))
}

func (p *painter) bold(s string) string   { return p.paint("1", s) }
func (p *painter) dim(s string) string    { return p.paint("2", s) }
func (p *painter) accent(s string) string { return p.paint("4;36", s) }

func (p *painter) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// isTerminal: colours are for people (https://no-color.org).
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// shellQuote quotes a path for a POSIX shell where it must be.
func shellQuote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
