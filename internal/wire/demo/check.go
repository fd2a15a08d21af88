package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// check is one comparison that a client makes before it believes an answer.
type check struct {
	Of     string // the token that it is about; "" is the answer itself
	Claim  string // the name of what is looked at; "" if the rule says it
	Rule   string
	Clause clause
	Result result
	Got    string // what stands there instead, where it does not hold
}

// result of a check.
type result string

const (
	held   result = "held"
	broken result = "broken"
	idle   result = "idle" // there is nothing to compare
)

func when(ok bool) result {
	if ok {
		return held
	}
	return broken
}

// clause is where a rule is written.
type clause struct{ Label, URL string }

func rfc(number, section string) clause {
	return clause{"RFC\u00a0" + number + "\u00a0§" + section, "https://www.rfc-editor.org/rfc/rfc" + number + "#section-" + section}
}

// core is OpenID Connect Core 1.0.
func core(section, anchor string) clause {
	return clause{"OIDC\u00a0Core\u00a0" + section, "https://openid.net/specs/openid-connect-core-1_0.html#" + anchor}
}

// idTokenStep is a step of the validation of OpenID Connect Core §3.1.3.7.
func idTokenStep(n string) clause { return core("§3.1.3.7\u00a0("+n+")", "IDTokenValidation") }

// equal compares a claim with what it must be.
func equal(claim, got, want, rule string, where clause) check {
	return check{Claim: claim, Rule: rule, Clause: where, Result: when(got == want), Got: unlike(got, want)}
}

func unlike(got, want string) string {
	switch got {
	case want:
		return ""
	case "":
		return "nothing"
	}
	return "“" + got + "”"
}

// checks are those of one thing.
type checks []check

// Hold reports whether all of them hold.
func (all checks) Hold() bool {
	return !slices.ContainsFunc(all, func(c check) bool { return c.Result == broken })
}

func of(name string, all []check) []check {
	for i := range all {
		all[i].Of = name
	}
	return all
}

// evidence is a good answer, and what the client knew before it came.
type evidence struct {
	demo    *demo
	visitor *http.Request
	body    []byte
	had     values // what the walk had before
	got     values // what the answer brought
}

// judgeTokens makes the checks of OpenID Connect Core §3.1.3.7 and §3.1.3.8, and
// those of RFC 9068 §4 for whoever the access token is shown to.
func judgeTokens(e *evidence) []check {
	keys, err := e.demo.keys(e.visitor)
	if err != nil {
		return []check{noKeys(err)}
	}
	all := of("access_token", e.accessToken(readJWT(e.got["access_token"], keys)))
	if e.got["id_token"] == "" {
		return all // without the scope openid there is none
	}
	return append(all, of("id_token", e.idToken(readJWT(e.got["id_token"], keys)))...)
}

func noKeys(err error) check {
	return check{Of: "id_token", Rule: "The JWKS can be read", Clause: rfc("7517", "5"), Result: broken, Got: err.Error()}
}

func (e *evidence) idToken(t jwt) []check {
	now, client := e.demo.Now().Unix(), e.demo.Web
	c := t.Claims
	azp := check{Claim: "azp", Rule: "is not there: the client is the only audience", Clause: idTokenStep("4, 5"), Result: idle}
	if c.AuthorizedParty != "" || len(c.Audience) > 1 {
		azp = equal("azp", c.AuthorizedParty, client, "is this client", idTokenStep("4, 5"))
	}
	return []check{
		{Rule: "It is not encrypted: this client has registered no encryption", Clause: idTokenStep("1"), Result: idle},
		equal("iss", c.Issuer, e.demo.Issuer, "is the issuer", idTokenStep("2")),
		{Claim: "aud", Rule: "has this client", Clause: idTokenStep("3"), Result: when(slices.Contains(c.Audience, client)), Got: listed(c.Audience)},
		azp,
		t.signed(idTokenStep("6")),
		equal("alg", t.Alg, idTokenAlg, "is "+idTokenAlg+", which counts for a client that has registered no other", idTokenStep("7")),
		{Rule: "There is no MAC to make: " + idTokenAlg + " signs", Clause: idTokenStep("8"), Result: idle},
		{Claim: "exp", Rule: "is yet to come", Clause: idTokenStep("9"), Result: when(now < c.Expires), Got: clock(c.Expires)},
		{Claim: "iat", Rule: "is now, give or take a minute", Clause: idTokenStep("10"), Result: when(now-c.Issued < leeway && c.Issued-now < leeway), Got: clock(c.Issued)},
		e.nonce(c),
		{Claim: "acr", Rule: "was not asked for", Clause: idTokenStep("12"), Result: idle},
		e.recent(c),
		equal("at_hash", c.ATHash, leftHalf(e.got["access_token"]), "is the left half of the access token’s SHA-256", core("§3.1.3.8", "CodeFlowTokenValidation")),
	}
}

func (e *evidence) nonce(c claims) check {
	if e.had["nonce"] == "" {
		return check{Claim: "nonce", Rule: "was not sent", Clause: idTokenStep("11"), Result: idle}
	}
	return equal("nonce", c.nonce(), e.had["nonce"], "is the one that was sent", idTokenStep("11"))
}

// leeway, in seconds, is for clocks that differ. Here they cannot.
const leeway = 60

// recent compares auth_time with the max_age of the request, reckoned from when
// it was made: the visitor may have read for a while since.
func (e *evidence) recent(c claims) check {
	x := check{Claim: "auth_time", Rule: "need not be recent: no max_age was sent", Clause: idTokenStep("13"), Result: idle}
	age, err := strconv.ParseInt(e.had["max_age"], 10, 64)
	if err != nil {
		return x
	}
	asked, _ := strconv.ParseInt(e.had["asked_at"], 10, 64)
	x.Rule = fmt.Sprintf("is at most %d seconds before the request, as max_age asked", age)
	x.Result, x.Got = when(c.AuthTime > 0 && c.AuthTime >= asked-age), clock(c.AuthTime)
	return x
}

// leftHalf is at_hash for an algorithm with SHA-256 (OpenID Connect Core §3.1.3.6).
func leftHalf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

func (e *evidence) accessToken(t jwt) []check {
	c, where := t.Claims, rfc("9068", "4")
	return []check{
		equal("typ", strings.TrimPrefix(t.Typ, "application/"), "at+jwt", "is at+jwt, so that no ID token passes for one", where),
		equal("iss", c.Issuer, e.demo.Issuer, "is the issuer", where),
		{Claim: "aud", Rule: "has the one that reads it: the issuer, for its userinfo", Clause: where, Result: when(slices.Contains(c.Audience, e.demo.Issuer)), Got: listed(c.Audience)},
		t.signed(where),
		{Claim: "exp", Rule: "is yet to come", Clause: where, Result: when(e.demo.Now().Unix() < c.Expires), Got: clock(c.Expires)},
	}
}

// judgeRefresh compares the new tokens with the ones before (OpenID Connect Core
// §12.2).
func judgeRefresh(e *evidence) []check {
	where := core("§12.2", "RefreshTokenResponse")
	same := check{Claim: "refresh_token", Clause: rfc("9700", "4.14.2"), Result: held,
		Rule: "is the one from before: a client that authenticates need not rotate, for a thief could not use it"}
	if now := e.got["refresh_token"]; now != "" && now != e.had["refresh_token"] {
		same.Rule = "is a new one: the old one has been used up"
	}
	all := []check{same}
	keys, err := e.demo.keys(e.visitor)
	if err != nil {
		return append(all, noKeys(err))
	}
	all = append(all, of("access_token", e.accessToken(readJWT(e.got["access_token"], keys)))...)
	if e.got["id_token"] == "" {
		return all
	}
	before, t := readJWT(e.had["id_token"], keys), readJWT(e.got["id_token"], keys)
	return append(all, of("id_token", []check{
		t.signed(where),
		equal("iss", t.Claims.Issuer, before.Claims.Issuer, "is that of the first ID token", where),
		equal("sub", t.Claims.Subject, before.Claims.Subject, "is that of the first ID token", where),
		equal("aud", listed(t.Claims.Audience), listed(before.Claims.Audience), "is that of the first ID token", where),
		equal("auth_time", strconv.FormatInt(t.Claims.AuthTime, 10), strconv.FormatInt(before.Claims.AuthTime, 10), "is still that of the password", where),
		{Claim: "iat", Rule: "is that of the refresh", Clause: where, Result: when(t.Claims.Issued >= before.Claims.Issued), Got: clock(t.Claims.Issued)},
	})...)
}

// judgeUserinfo is OpenID Connect Core §5.3.2: an answer about somebody else must
// not be used.
func judgeUserinfo(e *evidence) []check {
	if e.had["id_token"] == "" {
		return nil
	}
	var answer, token claims
	_ = json.Unmarshal(e.body, &answer)
	if parts := strings.Split(e.had["id_token"], "."); len(parts) == 3 {
		payload, _ := decodeObject(parts[1]) // its signature was checked when it came
		_ = json.Unmarshal(payload, &token)
	}
	return []check{equal("sub", answer.Subject, token.Subject, "is that of the ID token", core("§5.3.2", "UserInfoResponse"))}
}

// judgeActive is RFC 7662 §2.2: active is what counts.
func judgeActive(want bool, rule string) func(*evidence) []check {
	return func(e *evidence) []check {
		var answer struct {
			Active *bool `json:"active"`
		}
		_ = json.Unmarshal(e.body, &answer)
		c := check{Claim: "active", Rule: rule, Clause: rfc("7662", "2.2"), Result: broken, Got: "nothing"}
		if answer.Active != nil {
			c.Result, c.Got = when(*answer.Active == want), strconv.FormatBool(*answer.Active)
		}
		return []check{c}
	}
}

// clock tells a time, in seconds since 1970.
func clock(seconds int64) string {
	if seconds <= 0 || seconds >= yearTenThousand {
		return "no time"
	}
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

func listed(all []string) string { return strings.Join(all, " ") }
