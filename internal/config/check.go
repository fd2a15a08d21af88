package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tallystick/tallystick/internal/mail"
	"github.com/tallystick/tallystick/internal/oauth"
)

// Check joins everything that is wrong with the settings. It opens no file.
func (c *Config) Check() error {
	var errs []error
	fault := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	fault("issuer", CheckIssuer(c.Issuer))
	fault("listen", checkAddress(c.Listen))
	fault("database", CheckDatabase(c.Database.Reveal()))
	if c.MasterKeyFile == "" && c.MasterKey == "" {
		fault("master_key_file", errors.New("want a file, or the key in the variable "+Prefix+"MASTER_KEY"))
	}
	_, err := oauth.ParseResources(c.Resources)
	fault("resources", err)
	if c.ShutdownNotice > Duration(time.Minute) {
		fault("shutdown_notice", errors.New("want at most 1m"))
	}
	fault("tls.mode", oneOf(c.TLS.Mode, TLSFiles, TLSProxy))
	switch c.TLS.Mode {
	case TLSFiles:
		if c.TLS.CertFile == "" || c.TLS.KeyFile == "" {
			fault("tls.cert_file, tls.key_file", errors.New("want both, or the mode proxy"))
		}
		if len(c.TLS.Proxies) > 0 {
			fault("tls.proxies", errors.New("are for the mode proxy"))
		}
	case TLSProxy:
		if c.TLS.CertFile != "" || c.TLS.KeyFile != "" {
			fault("tls.cert_file, tls.key_file", errors.New("are for the mode files"))
		}
		if checkAddress(c.Listen) == nil {
			fault("listen", checkInside(c.Listen))
		}
	}
	_, err = c.TLS.Networks()
	fault("tls.proxies", err)
	if c.Mail.SMTP != "" {
		_, err := mail.SMTP(c.Mail.SMTP.Reveal(), c.Mail.From)
		fault("mail.smtp, mail.from", err)
	}
	fault("registration.mode", oneOf(c.Registration.Mode, "closed", "token", "open"))
	if c.Metrics.Listen != "" {
		fault("metrics.listen", checkAddress(c.Metrics.Listen))
	}
	fault("log.format", oneOf(c.Log.Format, "json", "text"))
	_, err = c.Log.Threshold()
	fault("log.level", err)
	if c.Audit.Retention < day {
		fault("audit.retention", errors.New("want at least 1d"))
	}
	if c.Keys.RotateEvery < day {
		fault("keys.rotate_every", errors.New("want at least 1d"))
	}
	if c.Limits.BirthsPerNetwork < 0 {
		fault("limits.births_per_network", errors.New("want a number, or 0 for no limit"))
	}
	return errors.Join(errs...)
}

func oneOf(s string, words ...string) error {
	if slices.Contains(words, s) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("want %s or %s, got %.40q", strings.Join(words[:last], ", "), words[last], s)
}

// CheckIssuer is RFC 8414 §2, with http for loopback: https, no query, no
// fragment, and no trailing slash, so that paths can be appended.
func CheckIssuer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("want a URL like https://login.example.com or http://127.0.0.1:8080, got %q", s)
	}
	if u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") || u.User != nil || u.Path != "" {
		return fmt.Errorf("want scheme, host and port only, without a slash at the end, got %q", s)
	}
	// Redirect URIs may stand below it, so it must be one that a browser prints
	// unchanged: lower case, no default port, http on loopback only.
	if err := oauth.CheckRedirectURI(s); err != nil {
		return fmt.Errorf("want a URL that could also be redirected to (%w), got %q", err, s)
	}
	return nil
}

// CheckDatabase wants an address that names a database. It does not repeat it: it may
// hold a password.
func CheckDatabase(address string) error {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok && path != "" {
		return nil
	}
	u, err := url.Parse(address)
	// A raw @ or # in a password would put the rest of it into the host, which errors
	// name.
	raw := err == nil && (u.Fragment != "" || strings.Contains(address, "@") && (u.User == nil || strings.Count(address, "@") > 1))
	if err != nil || raw || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.RawQuery == "" {
		return errors.New("want sqlite:PATH or postgres://user:password@host:5432/name, with special characters of the password percent-encoded")
	}
	return nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("want HOST:PORT, got %q", address)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || strings.TrimLeft(port, "0123456789") != "" {
		return fmt.Errorf("want a port from 0 to 65535, got %q", port)
	}
	return nil
}

// checkInside wants an address that the world does not reach: what goes over it is
// not encrypted.
func checkInside(address string) error {
	host, _, _ := net.SplitHostPort(address) // checked before
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback() && !ip.IsPrivate()) {
		return fmt.Errorf("behind a proxy want a loopback or private address, such as 127.0.0.1:8080, got %q", address)
	}
	return nil
}

// Networks are the proxies' addresses.
func (t TLS) Networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range t.Proxies {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(s); err == nil {
				prefix = netip.PrefixFrom(ip, ip.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("want addresses like 10.0.0.7 or networks like 10.0.0.0/8, got %q", s)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// Threshold is the level as slog has it.
func (l Log) Threshold() (level slog.Level, err error) {
	if err := oneOf(l.Level, "debug", "info", "warn", "error"); err != nil {
		return level, err
	}
	return level, level.UnmarshalText([]byte(l.Level))
}
