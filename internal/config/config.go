// Package config is what an operator sets for `tallystick serve`: one struct, of
// which the file, the environment and the commented example all follow. It tells
// everything that is wrong at once, and never shows a secret.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The comments of the fields below are the comments of the example file, and the
// names of the fields are its keys and, with TALLYSTICK_ before them, variables.
//
//go:embed config.go
var source string

// Config is the file.
type Config struct {
	// URL by which clients and browsers know this server: https, host and port only.
	// Every token names it, so it cannot be changed later.
	Issuer string `yaml:"issuer"`
	// Address to listen on, HOST:PORT; without HOST it is every address.
	Listen string `yaml:"listen"`
	// sqlite:PATH for one node, or postgres://user:password@host:5432/name for any
	// number of them.
	Database Secret `yaml:"database"`
	// File that holds the address of the database, in the place of database.
	DatabaseFile string `yaml:"database_file"`
	// File of the master key, mode 0600, made at the first start. Keep a copy of it
	// where no copy of the database is: without it, the database is of no use. The
	// variable TALLYSTICK_MASTER_KEY takes its place.
	MasterKeyFile string `yaml:"master_key_file"`
	// Resources (RFC 8707) that every client may ask for, beside its own.
	Resources []string `yaml:"resources"`
	// JSON files of clients, {"clients": [...]}, each with its client_id and the names
	// of RFC 7591. They are applied at each start; a client that is in none of them any
	// more is disabled. Without any file nothing is applied and nothing is disabled.
	Clients []string `yaml:"clients"`
	// How long /readyz says that this node goes before it closes its port: the time
	// that a load balancer needs to see it.
	ShutdownNotice Duration `yaml:"shutdown_notice"`

	TLS          TLS          `yaml:"tls" envPrefix:"tls_"`
	Mail         Mail         `yaml:"mail" envPrefix:"mail_"`
	Registration Registration `yaml:"registration" envPrefix:"registration_"`
	Metrics      Metrics      `yaml:"metrics" envPrefix:"metrics_"`
	Log          Log          `yaml:"log" envPrefix:"log_"`
	Audit        Audit        `yaml:"audit" envPrefix:"audit_"`
	Keys         Keys         `yaml:"keys" envPrefix:"keys_"`
	Limits       Limits       `yaml:"limits" envPrefix:"limits_"`

	// MasterKey comes from the environment only: a file of settings is no place for it.
	MasterKey Secret `yaml:"-"`
	// Ignored names the variables that begin as settings do and are none.
	Ignored []string `yaml:"-"`
}

// TLS is who speaks https to the world.
type TLS struct {
	// files: this server, by the two files below. proxy: a proxy before it, which
	// reaches this server by plain http; then listen must be a loopback or private
	// address.
	Mode string `yaml:"mode"`
	// Certificate chain in PEM form. Both files are read again when they change.
	CertFile string `yaml:"cert_file"`
	// Private key of the certificate, in PEM form.
	KeyFile string `yaml:"key_file"`
	// Addresses or networks of the proxies, whose X-Forwarded-For is believed. Without
	// it, limits per network take all people for one. Only for the mode proxy.
	Proxies []string `yaml:"proxies"`
}

// The modes of TLS.
const (
	TLSFiles = "files"
	TLSProxy = "proxy"
)

// Mail is how mails leave.
type Mail struct {
	// Mail server, smtp://user:password@host:587 or smtps://host. "" sends nothing:
	// mails wait for a node that does, and the pages of this one offer nothing that
	// needs a mail, such as a new password.
	SMTP Secret `yaml:"smtp"`
	// File that holds the URL of the mail server, in the place of smtp.
	SMTPFile string `yaml:"smtp_file"`
	// Sender of all mails, with or without a name: Example <login@example.com>.
	From string `yaml:"from"`
}

// Registration is who may register clients (RFC 7591).
type Registration struct {
	// closed: nobody. token: who has an initial access token; `tallystick serve
	// --initial-token 24h` prints one. open: anybody.
	Mode string `yaml:"mode"`
	// Whether confidential clients that register themselves must use PKCE; public ones
	// always must.
	RequirePKCE bool `yaml:"require_pkce"`
}

// Metrics is what Prometheus reads.
type Metrics struct {
	// Address of /metrics, HOST:PORT, which is not for the world; "" is none.
	Listen string `yaml:"listen"`
}

// Log is what goes to standard error.
type Log struct {
	// json or text.
	Format string `yaml:"format"`
	// debug, info, warn or error.
	Level string `yaml:"level"`
}

// Audit is what is kept of what happened.
type Audit struct {
	// How long an event is kept, such as 400d.
	Retention Duration `yaml:"retention"`
}

// Keys are those that sign tokens.
type Keys struct {
	// How long one signs before the next takes its place, such as 90d.
	RotateEvery Duration `yaml:"rotate_every"`
}

// Limits are on what strangers can do without signing in.
type Limits struct {
	// How many anonymous profiles, accounts and clients that register themselves may be
	// made from one network (/24, or /64 of IPv6) in ten minutes, at each node; 0 is any
	// number. Behind a proxy it needs tls.proxies.
	BirthsPerNetwork int `yaml:"births_per_network"`
}

// Default is what holds where nothing is said.
func Default() Config {
	return Config{
		Listen:         ":8443",
		ShutdownNotice: Duration(time.Second),
		TLS:            TLS{Mode: TLSFiles},
		Registration:   Registration{Mode: "closed", RequirePKCE: true},
		Log:            Log{Format: "json", Level: "info"},
		Audit:          Audit{Retention: 400 * day},
		Keys:           Keys{RotateEvery: 90 * day},
		Limits:         Limits{BirthsPerNetwork: 600},
	}
}

// Secret is a setting that holds, or may hold, a password. It prints as [secret].
type Secret string

const secret = "[secret]"

// Format implements [fmt.Formatter], so that no verb shows it.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret) }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (Secret) MarshalText() ([]byte, error) { return []byte(secret), nil }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Duration is a time span as it is written: 90d, 12h, 1m30s.
type Duration time.Duration

const day = Duration(24 * time.Hour)

var errDuration = errors.New("want a time like 90d, 12h or 1m30s")

// UnmarshalText reads whole days, or what Go writes.
func (d *Duration) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return errDuration
		}
		*d = Duration(n) * day
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return errDuration
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes whole days as such.
func (d Duration) MarshalText() ([]byte, error) {
	if d > 0 && d%day == 0 {
		return []byte(strconv.FormatInt(int64(d/day), 10) + "d"), nil
	}
	return []byte(time.Duration(d).String()), nil
}
