package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Prompt is what the prompt parameter asks for (OpenID Connect Core §3.1.2.1).
type Prompt uint8

// The prompts.
const (
	PromptNone Prompt = 1 << iota
	PromptLogin
	PromptConsent
	PromptSelectAccount
)

var prompts = map[string]Prompt{
	"none": PromptNone, "login": PromptLogin, "consent": PromptConsent, "select_account": PromptSelectAccount,
}

// ParsePrompt reads a list of prompts; none stands alone.
func ParsePrompt(s string) (p Prompt, err error) {
	if s == "" {
		return 0, nil
	}
	for word := range strings.SplitSeq(s, " ") {
		bit, ok := prompts[word]
		if !ok {
			return 0, errors.New("prompt must be none, or some of login, consent and select_account")
		}
		p |= bit
	}
	if p&PromptNone != 0 && p != PromptNone {
		return 0, errors.New("prompt none must stand alone")
	}
	return p, nil
}

// Has reports whether p asks for q.
func (p Prompt) Has(q Prompt) bool { return p&q != 0 }

// ResponseMode is how the answer goes back to the client (OAuth 2.0 Multiple
// Response Types §2.1, Form Post Response Mode).
type ResponseMode string

// The response modes.
const (
	ModeQuery    ResponseMode = "query"
	ModeFragment ResponseMode = "fragment"
	ModeFormPost ResponseMode = "form_post"
)

// ResponseModes are those that there are.
var ResponseModes = []ResponseMode{ModeQuery, ModeFragment, ModeFormPost}

// ParseResponseMode reads a response mode; query if none is asked for.
func ParseResponseMode(s string) (ResponseMode, error) {
	if s == "" {
		return ModeQuery, nil
	}
	if !slices.Contains(ResponseModes, ResponseMode(s)) {
		return "", errors.New("response_mode must be query, fragment or form_post")
	}
	return ResponseMode(s), nil
}

// Resources are resource indicators (RFC 8707 §2) in canonical form: absolute
// URIs without a fragment, sorted, unique, separated by one space.
type Resources string

const maxResources = 10

// ParseResources reads the values of resource parameters.
func ParseResources(values []string) (Resources, error) {
	if len(values) > maxResources {
		return "", fmt.Errorf("resource may be sent at most %d times", maxResources)
	}
	for _, v := range values {
		if !absolute(v) {
			return "", errors.New("resource must be an absolute URI without a fragment, at most 512 characters")
		}
	}
	values = slices.Clone(values)
	slices.Sort(values)
	return Resources(strings.Join(slices.Compact(values), " ")), nil
}

func absolute(s string) bool {
	if len(s) > 512 || !visible(s) || strings.Contains(s, "#") {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "")
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// URIs lists the resources.
func (r Resources) URIs() []string { return strings.Fields(string(r)) }

// Within reports whether every resource of r is also one of other.
func (r Resources) Within(other Resources) bool { return Scope(r).Within(Scope(other)) }

// Union is r and other.
func (r Resources) Union(other Resources) Resources { return Resources(Scope(r).Union(Scope(other))) }

// ClaimRequest is what a claims parameter says of one claim (OpenID Connect Core
// §5.5.1).
type ClaimRequest struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// Accepts reports whether a value, as JSON, is one that was asked for.
func (c *ClaimRequest) Accepts(value string) bool {
	want := c.Values
	if len(c.Value) > 0 {
		want = append(slices.Clone(want), c.Value)
	}
	got := plain(json.RawMessage(value))
	return len(want) == 0 || slices.ContainsFunc(want, func(w json.RawMessage) bool { return bytes.Equal(w, got) })
}

// ClaimsRequest is a claims parameter (OpenID Connect Core §5.5): which claims are
// wanted where. What it does not know is left out, as §5.5 asks.
type ClaimsRequest struct {
	Userinfo map[string]*ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*ClaimRequest `json:"id_token,omitempty"`
}

const maxClaims = 4096

// ParseClaims reads a claims parameter; "" is one that asks for nothing. It reads
// what Canonical writes as the same request.
func ParseClaims(s string) (c ClaimsRequest, err error) {
	if s == "" {
		return c, nil
	}
	if len(s) > maxClaims {
		return c, errLongClaims
	}
	top, ok := members([]byte(s))
	if !ok {
		return c, errClaims
	}
	if c.Userinfo, ok = claimRequests(top["userinfo"]); !ok {
		return ClaimsRequest{}, errClaims
	}
	if c.IDToken, ok = claimRequests(top["id_token"]); !ok {
		return ClaimsRequest{}, errClaims
	}
	// Escapes can make the canonical form longer than what was sent; since it is
	// read again with each use of the grant, it has to keep the limit, too.
	if len(c.Canonical()) > maxClaims {
		return ClaimsRequest{}, errLongClaims
	}
	return c, nil
}

var (
	errLongClaims = fmt.Errorf("claims must be at most %d bytes", maxClaims)
	errClaims     = errors.New("claims must be a JSON object with the members userinfo and id_token, each an object of claims, no name twice")
)

func claimRequests(raw json.RawMessage) (map[string]*ClaimRequest, bool) {
	if absent(raw) {
		return nil, true
	}
	wanted, ok := members(raw)
	if !ok || len(wanted) == 0 {
		return nil, ok
	}
	requests := make(map[string]*ClaimRequest, len(wanted))
	for name, raw := range wanted {
		one := new(ClaimRequest)
		if !visible(name) || len(name) > 64 || !absent(raw) && !one.parse(raw) {
			return nil, false
		}
		requests[name] = one
	}
	return requests, true
}

func (c *ClaimRequest) parse(raw json.RawMessage) bool {
	spec, ok := members(raw)
	if !ok {
		return false
	}
	for name, to := range map[string]any{"essential": &c.Essential, "values": &c.Values} {
		if raw := spec[name]; !absent(raw) && json.Unmarshal(raw, to) != nil {
			return false
		}
	}
	if v := spec["value"]; !absent(v) {
		c.Value = plain(v)
	}
	for i, v := range c.Values {
		c.Values[i] = plain(v)
	}
	if len(c.Values) == 0 {
		c.Values = nil
	}
	return true
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// members reads a JSON object. A name that comes twice is refused, since it says
// one thing to one reader and another to the next, and "Value" is not "value":
// encoding/json sees to neither.
func members(raw []byte) (map[string]json.RawMessage, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	object := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if _, twice := object[name]; err != nil || !ok || twice {
			return nil, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		object[name] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, false
	}
	_, err := dec.Token()
	return object, err == io.EOF
}

// plain is the one spelling of a JSON value that values are compared in: that of
// encoding/json. A number stays as it was written.
func plain(raw json.RawMessage) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if !json.Valid(raw) || dec.Decode(&v) != nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// Canonical is the request as it is kept: JSON, names in order; "" if it asks for
// nothing.
func (c ClaimsRequest) Canonical() string {
	if len(c.Userinfo) == 0 && len(c.IDToken) == 0 {
		return ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return string(b)
}

// Names lists the claims that are asked for by name, wherever, sorted.
func (c ClaimsRequest) Names() []string {
	all := slices.Collect(maps.Keys(c.Userinfo))
	all = slices.AppendSeq(all, maps.Keys(c.IDToken))
	slices.Sort(all)
	return slices.Compact(all)
}
